//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// measure is how large a storm is.
type measure struct {
	seeds    []uint64
	duration time.Duration
	objects  int
	lease    lease
	paused   time.Duration // how long a process is stopped
	format   string        // of the receiver
	embed    time.Duration // how long the receiver takes for an embedding
}

// stormMeasure reads the size from the environment: E2E_LONG=1 makes it the full measure, STORM_SEED or STORM_SEEDS
// (a list, or a range such as 1-10), STORM_DURATION, STORM_OBJECTS and STORM_FORMAT=dot-ai change parts of it.
func stormMeasure(t *testing.T) measure {
	t.Helper()
	m := measure{seeds: []uint64{2}, duration: 30 * time.Second, objects: 1500, lease: shortLease, paused: 5 * time.Second}
	if os.Getenv("E2E_LONG") != "" {
		m.duration, m.objects, m.lease, m.paused = 5*time.Minute, 10_000, defaultLease, 40*time.Second
	}
	m.embed = 100 * time.Millisecond // for each request
	if m.format = os.Getenv("STORM_FORMAT"); m.format == fleet.DotAI {
		m.embed = 2 * time.Millisecond // for each object
	}
	for name, take := range map[string]func(string) error{
		"STORM_DURATION": func(v string) (err error) { m.duration, err = time.ParseDuration(v); return err },
		"STORM_OBJECTS":  func(v string) (err error) { m.objects, err = strconv.Atoi(v); return err },
		"STORM_SEED":     func(v string) (err error) { m.seeds, err = seeds(v); return err },
		"STORM_SEEDS":    func(v string) (err error) { m.seeds, err = seeds(v); return err },
	} {
		if v := os.Getenv(name); v != "" {
			if err := take(v); err != nil {
				t.Fatalf("%s=%s: %v", name, v, err)
			}
		}
	}
	return m
}

// seeds reads a list of numbers and ranges.
func seeds(list string) ([]uint64, error) {
	var all []uint64
	for part := range strings.SplitSeq(list, ",") {
		first, last, ranged := strings.Cut(part, "-")
		if !ranged {
			last = first
		}
		from, err := strconv.ParseUint(first, 10, 64)
		if err != nil {
			return nil, err
		}
		to, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			return nil, err
		}
		for n := from; n <= to; n++ {
			all = append(all, n)
		}
	}
	return all, nil
}

// TestStorm is everything at once, drawn from a seed. Replicas are killed, stopped, cut off and scaled while the API
// server and the receiver fail, under 200 changes a second. Afterwards the receiver has to equal the cluster. Its
// record, compared with the history of the Leases in etcd, must show that no member ever sent an object that it did
// not own.
func TestStorm(t *testing.T) {
	longOnly(t)
	m := stormMeasure(t)
	for _, seed := range m.seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { oneStorm(t, m, seed) })
	}
}

func oneStorm(t *testing.T, m measure, seed uint64) {
	plan := drawStorm(seed, m.duration, m.paused, m.lease)
	s := newStorm(t, m)
	c := cluster(t, s.rig, m.objects)
	for i := range 3 {
		s.start(replicaName(i))
	}
	s.ready()
	took, n := s.rig.WaitEqual(2 * time.Minute)
	t.Logf("%d objects in step after %v; the storm takes %v, %d deeds", n, took.Round(time.Millisecond), plan.length.Round(time.Second), len(plan.deeds))

	h := newHistory()
	var churn sync.WaitGroup
	churn.Go(func() {
		h.run(t, c, workload.ChurnOptions{Rate: rate(), For: plan.length, Workers: 32, Seed: seed}, true)
	})
	s.rage(plan)
	churn.Wait()
	defer s.check(h) // also when the receiver is wrong: the senders of its requests may tell why

	bound := m.lease.duration + debounce + flush + 5*time.Second
	took, n = s.rig.WaitEqual(max(bound, time.Minute))
	t.Logf("%d objects equal %v after the last fault and change, want %v at most", n, took.Round(time.Millisecond), bound)
	if os.Getenv("E2E_LONG") != "" && took > bound {
		t.Errorf("equal after %v, want %v at most", took, bound)
	}
}

// debounce and flush are the settings of the rig for replicas.
const debounce, flush = time.Second, 500 * time.Millisecond

// storm is a fleet in which every fault may happen.
type storm struct {
	t       *testing.T
	rig     *fleet.Rig
	lease   lease
	format  string // of the receiver
	leases  *fleet.LeaseHistory
	words   *fleet.Writes // of the checkpoints; nil unless evidence is kept
	verify  string        // minutes between verifications; empty is the default
	began   time.Time
	slots   map[string]*slot
	all     []*slot // of every start
	stopped []fleet.Span
	control sync.WaitGroup // for the start of the API server
	revived int
}

// slot is one process with a line of its own to the API server.
type slot struct {
	*fleet.Replica
	line *netfault.Proxy
	user string // in the audit log
}

func newStorm(t *testing.T, m measure) *storm {
	t.Helper()
	s := &storm{t: t, lease: m.lease, format: m.format, slots: make(map[string]*slot), began: time.Now()}
	s.rig = fleet.New(t, fleet.Options{
		ControlPlane: controlplane.Options{AuditLog: true}, Format: m.format,
		Receiver: receiver.Options{EmbedLatency: m.embed}, // requests that take no time overlap with none
	})
	s.leases = s.rig.FollowLeases()
	if os.Getenv("STORM_EVIDENCE") != "" {
		s.words = s.rig.FollowWrites("/registry/configmaps/default/k8s-vectordb-sync-", nil)
		t.Cleanup(s.keepEvidence)
	}
	return s
}

// start starts a process under a name.
func (s *storm) start(name string) {
	s.t.Helper()
	line, err := netfault.New(s.rig.Address())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = line.Close() })
	user := fmt.Sprintf("%s-start-%d", name, len(s.all))
	kubeconfig, err := s.rig.KubeconfigForVia(line.Address(), user, "system:masters")
	if err != nil {
		s.t.Fatal(err)
	}
	env := s.lease.env()
	if s.verify != "" {
		env["VERIFY_INTERVAL_MIN"] = s.verify
	}
	maps.Copy(env, map[string]string{
		"POD_NAME": name, "KUBECONFIG": kubeconfig, "SETTLE_TIME_MS": "1000", "REQUEST_TIMEOUT_MS": ms(timeout),
		"SHUTDOWN_TIMEOUT_MS": ms(s.lease.duration),
	})
	one := &slot{Replica: s.rig.Start(env), line: line, user: user}
	s.slots[name] = one
	s.all = append(s.all, one)
}

// ready waits until the replicas that should run do, and agree.
func (s *storm) ready() {
	s.t.Helper()
	var replicas []*fleet.Replica
	for _, one := range s.slots {
		one.WaitReady(time.Minute)
		replicas = append(replicas, one.Replica)
	}
	agreed(s.t, time.Minute, replicas...)
}

// rage carries out the plan, and returns when it is over and everything runs again.
func (s *storm) rage(plan stormPlan) {
	s.t.Helper()
	began := time.Now()
	for _, d := range plan.deeds {
		for due := began.Add(d.at); ; {
			s.revive()
			left := time.Until(due)
			if left <= 0 {
				break
			}
			fleet.Pause(min(left, 500*time.Millisecond))
		}
		s.t.Logf("%s  %v", time.Now().UTC().Format("15:04:05.000"), d)
		if len(d.names) == 0 {
			s.outside(d.what)
		}
		for _, name := range d.names {
			s.inside(d.what, name)
		}
	}
	s.control.Wait()
	s.revive()
}

// revive starts ended replicas again, as a kubelet does with containers.
func (s *storm) revive() {
	for name, one := range s.slots {
		if !one.Running() {
			s.t.Logf("%s has ended by itself:\n%s", name, one.Log(5))
			s.revived++
			s.start(name)
		}
	}
}

// inside makes a fault at a replica.
func (s *storm) inside(what, name string) {
	if what == deedStart {
		s.start(name)
		return
	}
	one := s.slots[name]
	switch what {
	case deedKill:
		delete(s.slots, name)
		one.Kill()
	case deedLeave:
		delete(s.slots, name)
		one.Signal(syscall.SIGTERM)
	case deedStop:
		s.stopped = append(s.stopped, fleet.Span{Member: name, From: time.Now(), To: time.Now().Add(time.Hour)})
		one.Signal(syscall.SIGSTOP)
	case deedContinue:
		one.Signal(syscall.SIGCONT)
		s.stopped[len(s.stopped)-1].To = time.Now()
	case deedCut:
		one.line.Reset()
	case deedMute:
		one.line.Hang()
	case deedMend:
		one.line.Mend()
	}
}

// outside makes a fault at the API server or at the receiver.
func (s *storm) outside(what string) {
	switch what {
	case deedAPIKill:
		s.control.Wait()
		s.report(s.rig.StopAPIServer(true))
	case deedAPIStart:
		s.control.Go(func() { s.report(s.rig.StartAPIServer(s.t.Context())) })
	case deedAPIPause:
		s.control.Wait()
		s.report(s.rig.PauseAPIServer())
	case deedAPIGoOn:
		s.report(s.rig.ResumeAPIServer())
	case deedBusy:
		s.rig.SetFaults(receiver.Rule{Name: "busy", Effect: receiver.Effect{Status: 503}})
	case deedSilent:
		s.rig.SetFaults(receiver.Rule{Name: "silent", Effect: receiver.Effect{Hang: receiver.Forever}})
	case deedWell:
		s.rig.Receiver().ClearFaults()
	}
}

func (s *storm) report(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

// check compares all events with the rules that no fault excuses.
func (s *storm) check(h *history) {
	t := s.t
	t.Helper()
	stats, records := s.rig.Receiver().Stats(), s.rig.Requests()
	if s.format == fleet.DotAI {
		ourIDs(records)
	}
	t.Logf("%d requests by status %v, %d pairs of which the first was abandoned, %d processes, %d of them after one had ended by itself",
		stats.Syncs, stats.ByStatus, stats.Abandoned, len(s.all), s.revived)
	if n := faults(records); n < 2 {
		t.Errorf("%d sorts of fault happened at the receiver, want 2", n)
	}
	overlaps := fleet.Overlapping(s.rig.Receiver().Overlaps(), s.stopped)
	if len(overlaps) > 0 {
		t.Errorf("%d times two requests held one ID:\n%s", len(overlaps), strings.Join(overlaps[:min(len(overlaps), 5)], "\n"))
	}
	verdict := fleet.NewJudge(s.leases.Versions(t), s.lease.deadline).Judge(records)
	if !verdict.Empty() {
		t.Error(verdict)
	}
	t.Logf("%v; the oldest renewal under which one was begun was %v old", verdict, verdict.Oldest.Round(time.Millisecond))
	if stats.InBoth > 0 || stats.Mixed > 0 || stats.MaxUpserts > 50 || stats.MaxBytes > 1<<20 {
		t.Errorf("%d payloads with upserts and deletes, %d IDs in both, up to %d upserts and %d bytes", stats.Mixed, stats.InBoth, stats.MaxUpserts, stats.MaxBytes)
	}
	if w := h.wrongDeletes(t, s.rig); len(w) > 0 {
		t.Errorf("%d objects were deleted at the receiver that were never deleted in the cluster, such as %v", len(w), w[:min(len(w), 3)])
	}
	for name, one := range s.slots {
		if n := one.Metric("k8s_vectordb_sync_dropped_total"); n != 0 {
			t.Errorf("%s has dropped %v changes", name, n)
		}
	}
}

// ourIDs replaces dot-ai's identities, namespace:apiVersion:kind:name, by the IDs that the ring hashes. Only names
// hold colons.
func ourIDs(records []receiver.Record) {
	ours := func(id string) string { return strings.Join(strings.SplitN(id, ":", 4), "/") }
	for _, r := range records {
		for i := range r.Upserts {
			r.Upserts[i].ID = ours(r.Upserts[i].ID)
		}
		for i := range r.Deletes {
			r.Deletes[i] = ours(r.Deletes[i])
		}
	}
}

// keepEvidence writes the traces of a failed storm to the directory STORM_EVIDENCE.
func (s *storm) keepEvidence() {
	root := os.Getenv("STORM_EVIDENCE")
	if !s.t.Failed() {
		return
	}
	dir := filepath.Join(root, strings.NewReplacer("/", "_", " ", "-").Replace(s.t.Name())+s.began.UTC().Format("-150405"))
	files := map[string][]byte{}
	for i, one := range s.all {
		files[fmt.Sprintf("%02d-%s.log", i, one.Name)] = []byte(one.Log(1 << 30))
	}
	for name, v := range map[string]any{
		"requests.json": s.rig.Requests(), "overlaps.json": s.rig.Receiver().Overlaps(), "leases.json": s.leases.Versions(s.t), "stopped.json": s.stopped,
		"checkpoints.json": s.words.All(s.t), // as etcd holds them
	} {
		content, err := json.Marshal(v)
		if err != nil {
			s.t.Error(err)
			return
		}
		files[name] = content
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		s.t.Error(err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(dir, name), files[name], 0o600); err != nil {
			s.t.Error(err)
		}
	}
}
