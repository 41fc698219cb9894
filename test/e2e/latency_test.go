//go:build e2e

package e2e

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestTakeoverLatency kills a replica, starts it again, has one leave in good order and starts that again, over and
// over, while small changes go on all the time. It measures how long the changes of such a replica wait.
//
// For a kill, the time runs from the signal until every change is delivered that the dead member owned and that was
// made before its Lease can have expired. For a join or a leave, it is the longest time from a change of an object
// that moves until its delivery. That includes the debounce window and the flush interval, which are 100 ms each.
// TAKEOVER_ROUNDS is the number of rounds. The default is 30, which takes 20 minutes.
func TestTakeoverLatency(t *testing.T) {
	longOnly(t)
	rounds, timings := 30, defaultLease
	if v := os.Getenv("TAKEOVER_ROUNDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatalf("TAKEOVER_ROUNDS=%s: %v", v, err)
		}
		rounds = n
	}
	f := newTakeovers(t, 10_000, timings)
	for round := range rounds {
		names := slices.Sorted(maps.Keys(f.running))
		f.kill(names[round%len(names)])
		f.join(names[round%len(names)])
		f.leave(names[(round+1)%len(names)])
		f.join(names[(round+1)%len(names)])
	}
	f.probes.stop()
	f.rig.WaitEqual(time.Minute)
	t.Logf("kill -9, lease of %v: %v", timings.duration, f.kills)
	t.Logf("join: %v; ready after %v", f.joins, f.readiness)
	t.Logf("leave: %v", f.leaves)
	t.Logf("a change of what does not move meanwhile: %v", f.others)
	if overlaps := f.rig.Receiver().Stats().Overlaps; overlaps > 0 {
		t.Errorf("%d times two requests held one ID", overlaps)
	}
	if p99 := f.kills.percentile(99); p99 > timings.duration+5*time.Second {
		t.Errorf("p99 after a kill is %v, want at most the lease duration and 5 s", short(p99))
	}
	for what, s := range map[string]sample{"join": f.joins, "leave": f.leaves} {
		if p99 := s.percentile(99) - 2*takeoverWindow; p99 > time.Second {
			t.Errorf("p99 of a %s is %v beyond the debounce window and the flush interval, want at most 1 s", what, short(p99))
		}
	}
}

// takeoverWindow is the debounce window and the flush interval of replicas whose handoffs are measured.
const takeoverWindow = 100 * time.Millisecond

// takeovers is a fleet whose members come and go, with the times that this took.
type takeovers struct {
	t       *testing.T
	rig     *fleet.Rig
	env     map[string]string
	running map[string]*fleet.Replica
	probes  *probes

	kills, joins, leaves, readiness, others sample
}

func newTakeovers(t *testing.T, objects int, l lease) *takeovers {
	t.Helper()
	f := &takeovers{t: t, rig: fleet.New(t, fleet.Options{}), env: l.env(), running: make(map[string]*fleet.Replica)}
	maps.Copy(f.env, map[string]string{
		"DEBOUNCE_WINDOW_MS": ms(takeoverWindow), "BATCH_FLUSH_INTERVAL_MS": ms(takeoverWindow), "SETTLE_TIME_MS": "1000",
	})
	cluster(t, f.rig, objects)
	for i := range 3 {
		f.start(replicaName(i))
	}
	f.settled()
	f.rig.WaitEqual(2 * time.Minute)
	f.probes = follow(t, f.rig, 60, l.duration+7*time.Second)
	return f
}

func (f *takeovers) start(name string) {
	env := maps.Clone(f.env)
	env["POD_NAME"] = name
	f.running[name] = f.rig.Start(env)
}

// settled waits until all replicas are ready and agree.
func (f *takeovers) settled() {
	f.t.Helper()
	for _, p := range f.running {
		p.WaitReady(time.Minute)
	}
	agreed(f.t, time.Minute, slices.Collect(maps.Values(f.running))...)
}

// kill measures a crash.
func (f *takeovers) kill(name string) {
	f.t.Helper()
	owner := owners(f.t, slices.Collect(maps.Keys(f.running))...)
	fleet.Pause(time.Second) // so that some requests are in flight
	victim := f.running[name]
	delete(f.running, name)
	killed := time.Now()
	victim.Kill()
	f.settled()
	fleet.Pause(time.Until(killed.Add(f.duration())))
	lost := f.probes.between(f.t, killed.Add(-takeoverWindow), killed.Add(f.duration()), func(id string) bool { return owner(id) == name })
	took := latest(f.probes.delivered(f.t, lost)).Sub(killed)
	f.kills = append(f.kills, took)
	f.t.Logf("kill -9 of %s: %d changes delivered after %v", name, len(lost), short(took))
}

func (f *takeovers) duration() time.Duration {
	d, err := time.ParseDuration(f.env["LEASE_DURATION_MS"] + "ms")
	if err != nil {
		f.t.Fatal(err)
	}
	return d
}

// join measures a start.
func (f *takeovers) join(name string) {
	f.t.Helper()
	before := owners(f.t, slices.Collect(maps.Keys(f.running))...)
	began := time.Now()
	f.start(name)
	f.running[name].WaitReady(time.Minute)
	f.readiness = append(f.readiness, time.Since(began))
	f.settled()
	fleet.Pause(time.Second)
	after := owners(f.t, slices.Collect(maps.Keys(f.running))...)
	f.joins = append(f.joins, f.waited(began, before, after, "join of "+name))
}

// leave measures an end in good order.
func (f *takeovers) leave(name string) {
	f.t.Helper()
	before := owners(f.t, slices.Collect(maps.Keys(f.running))...)
	fleet.Pause(time.Second)
	began := time.Now()
	leaver := f.running[name]
	delete(f.running, name)
	leaver.Signal(syscall.SIGTERM)
	if code := leaver.Wait(grace); code != 0 {
		f.t.Errorf("exit code %d, want 0", code)
	}
	f.settled()
	fleet.Pause(time.Second)
	after := owners(f.t, slices.Collect(maps.Keys(f.running))...)
	f.leaves = append(f.leaves, f.waited(began, before, after, "leave of "+name))
}

// waited returns how long a change of a moving object waited at most, among the changes since a moment.
func (f *takeovers) waited(since time.Time, before, after func(string) string, what string) time.Duration {
	f.t.Helper()
	now := time.Now()
	worst := func(match func(id string) bool) (time.Duration, probe) {
		changes := f.probes.between(f.t, since, now, match)
		var most time.Duration
		var which probe
		for i, at := range f.probes.delivered(f.t, changes) {
			if d := at.Sub(changes[i].made); d > most {
				most, which = d, changes[i]
			}
		}
		return most, which
	}
	moved, which := worst(func(id string) bool { return before(id) != after(id) })
	other, _ := worst(func(id string) bool { return before(id) == after(id) })
	f.others = append(f.others, other)
	f.t.Logf("%s: a change of what moves waited %v at most (%s, made %v after the beginning), of what does not move %v",
		what, short(moved), which.id, short(which.made.Sub(since)), short(other))
	return moved
}
