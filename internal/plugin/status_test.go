package plugin_test

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares the output with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

// troubled is a fleet that has one trouble of each sort.
func troubled() []*backend {
	all := three()
	next := epoch.Add(time.Hour + 12*time.Second)
	a := &all[0].status
	a.Phase = api.PhaseSyncing
	a.Targets[0] = api.Target{
		Name: "default", Endpoint: "http://cluster-whisperer:3000/api/v1/instances/sync", Format: "cluster-whisperer",
		State: api.TargetBackingOff, Reason: "HTTP 503", Since: epoch.Add(time.Hour - 192*time.Second), NextAttempt: &next, Dirty: 4,
		OldestDirtySeconds: 195.5, InFlight: 1, Upserts: 7000, Deletes: 3, QuarantinedTotal: 7, Unknown: 2,
		Quarantined: []api.Quarantined{
			{ID: "shop/v1/ConfigMap/odd", Reason: "labels: too long\nand more", Since: epoch},
			{ID: "shop/v1/ConfigMap/odder", Reason: "labels: too long", Since: epoch},
		},
		FirstSync: &api.Progress{Done: 10, Total: 20}, UnknownDeletions: []string{"pods.v1", "secrets.v1"},
	}
	for _, b := range all { // Every replica reports the troubles of all of them.
		b.status.Targets[0].HeldRepairs = []api.HeldRepair{
			{Resource: "configmaps.v1", Source: "inventory", Member: "k8s-vectordb-sync-0", Documents: 80, Limit: 50},
		}
	}
	failed := finished(api.OperationFailed, "the receiver is gone")
	a.Resync.Last = &failed
	a.Resync.Running = []api.Operation{step(1200, 20243, 12)}
	for _, b := range all {
		b.status.Types[0].Phase, b.status.Types[0].Error = api.TypeFailing, "forbidden"
		b.status.Discovery = api.Discovery{
			Failed:  []api.FailedGroup{{GroupVersion: "metrics.k8s.io/v1beta1", Error: "service unavailable"}},
			Unknown: []string{"deploymnets"},
		}
	}
	since := epoch.Add(time.Hour - 75*time.Second)
	for i, b := range all[:2] {
		b.ring.Agreed, b.ring.DisagreementSince = false, &since
		b.ring.Members[2].State, b.ring.Members[2].HeartbeatAgeSeconds = api.MemberSilent, 17+float64(i)
	}
	all[0].ring.Fenced, all[0].ring.OrphanedPartitions, all[0].ring.Conflicts = true, 1, 12
	return all[:2] // the third does not answer
}

func TestStatusSaysThatAllIsWell(t *testing.T) {
	t.Parallel()
	got := runAll(t, three(), "status")
	if got.code != 0 || got.errOut != "" {
		t.Errorf("exit code %d, %q", got.code, got.errOut)
	}
	golden(t, "status.txt", got.out)
}

func TestWideStatusShowsMore(t *testing.T) {
	t.Parallel()
	golden(t, "status-wide.txt", runAll(t, three(), "status", "-o", "wide").out)
}

func TestStatusSaysPlainlyWhatIsWrong(t *testing.T) {
	t.Parallel()
	all := troubled()
	urls := []string{backendURL(t, all[0]), backendURL(t, all[1]), "http://127.0.0.1:1"}
	got := run(t, "status", "--api", strings.Join(urls, ","))
	if got.code != 1 {
		t.Errorf("exit code %d, want 1; %s", got.code, got.errOut)
	}
	golden(t, "status-troubled.txt", got.out)
}

func TestChangesOnTheWayAreNoProblem(t *testing.T) {
	t.Parallel()
	all := three()
	all[1].status.Phase = api.PhaseSyncing
	all[1].status.Targets[0].Dirty, all[1].status.Targets[0].OldestDirtySeconds = 3, 4.2
	got := runAll(t, all, "status")
	if got.code != 0 || !strings.Contains(got.out, "All is well: 3 changes on the way, the oldest for 4s.") {
		t.Errorf("exit code %d:\n%s", got.code, got.out)
	}
}

// TestStatus_OneThingIsWrong_ItsProblemIsPrinted makes sure that each problem is seen without any other.
func TestStatus_OneThingIsWrong_ItsProblemIsPrinted(t *testing.T) {
	t.Parallel()
	since := epoch.Add(time.Hour - 40*time.Second)
	for name, c := range map[string]struct {
		harm func(*backend)
		code int
		want string
	}{
		"receiver":     {func(b *backend) { b.status.Targets[0].State = api.TargetBackingOff }, 1, "receiver default has been down for 60m, says sync-0"},
		"no receiver":  {func(b *backend) { b.status.Targets = nil }, 1, "sync-0 has no receiver"},
		"quarantine":   {func(b *backend) { b.status.Targets[0].QuarantinedTotal = 1 }, 1, "receiver default refuses 1 object of sync-0 for good"},
		"type":         {func(b *backend) { b.status.Types[1].Phase = api.TypeFailing }, 1, "type pods.v1 could not be watched for 60m"},
		"group":        {func(b *backend) { b.status.Discovery.Failed = []api.FailedGroup{{GroupVersion: "a/v1"}} }, 1, "the types of a/v1 cannot be told"},
		"filter":       {func(b *backend) { b.status.Discovery.Unknown = []string{"podz"} }, 1, `"podz" in the filters matches no type`},
		"resync":       {func(b *backend) { b.status.Resync.Last.Status = api.OperationFailed }, 1, "the last resync (op-1) on sync-0 failed"},
		"orphans":      {func(b *backend) { b.status.Resync.Last.OrphansHeld = 70 }, 1, "holds back the deletion of 70 documents"},
		"fenced":       {func(b *backend) { b.ring.Fenced = true }, 1, "sync-0 sends nothing"},
		"unclaimed":    {func(b *backend) { b.ring.OrphanedPartitions = 2 }, 1, "2 partitions that nobody claims"},
		"no ring":      {func(b *backend) { b.ring.Error = "two formats" }, 1, "sync-0 cannot build a ring: two formats"},
		"disagreement": {func(b *backend) { b.ring.Agreed, b.ring.DisagreementSince = false, &since }, 1, "no agreement on the ring for 40s"},
		"missing":      {func(b *backend) { b.ring.Members[0].State = api.MemberMissing }, 1, "sync-0 is missing"},
		"handoff":      {func(b *backend) { b.ring.Agreed, b.ring.Conflicts = false, 12 }, 0, "sync-0 sees the ring change"},
		"starting":     {func(b *backend) { b.status.Phase = api.PhaseStarting }, 0, "sync-0 is starting"},
		"stopping":     {func(b *backend) { b.status.Phase = api.PhaseStopping }, 0, "sync-0 is stopping"},
		"last words":   {func(b *backend) { b.status.Targets[0].Unknown = 5 }, 0, "repeats the last word of 5 objects"},
		"rolling":      {func(b *backend) { b.ring.Members[0].Format = "v2" }, 0, "sync-0 works with ring format v2"},
		"others' words": {func(b *backend) {
			b.ring.Members = append(b.ring.Members, api.Member{Name: "sync-9", State: "waiting"})
		}, 0, "sync-9 is in the ring and was not asked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := well(0)
			b.ring.Members = b.ring.Members[:1]
			c.harm(b)
			got := runAll(t, []*backend{b}, "status")
			if got.code != c.code || !strings.Contains(got.out, c.want) {
				t.Errorf("exit code %d, want %d, and %q in:\n%s%s", got.code, c.code, c.want, got.out, got.errOut)
			}
		})
	}
}

func TestStatusForProgramsHoldsTheAnswersThemselves(t *testing.T) {
	t.Parallel()
	type report struct {
		Receivers []struct {
			Name       string
			Delivering []string
			Upserts    int
		}
		Replicas []struct {
			Name   string
			Error  string
			Status *api.Status
			Ring   *api.Ring
		}
		Problems, Notes []string
	}
	all := three()
	for format, decode := range map[string]func([]byte, any) error{
		"json": json.Unmarshal,
		"yaml": func(b []byte, v any) error { return yaml.Unmarshal(b, v) },
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			got := runAll(t, all, "status", "-o", format)
			var r report
			if err := decode([]byte(got.out), &r); err != nil {
				t.Fatalf("%v in %s", err, got.out)
			}
			if len(r.Replicas) != 3 || r.Problems == nil || r.Notes == nil || len(r.Receivers) != 1 || r.Receivers[0].Upserts != 21000 {
				t.Fatalf("got %s", got.out)
			}
			for i, b := range all {
				if diff := cmp.Diff(&b.ring, r.Replicas[i].Ring); diff != "" {
					t.Errorf("ring of %s (-want +got):\n%s", r.Replicas[i].Name, diff)
				}
				if r.Replicas[i].Status.Version != "v1.0.0" || r.Replicas[i].Status.Objects != 20243 {
					t.Errorf("status of %s: %+v", r.Replicas[i].Name, r.Replicas[i].Status)
				}
			}
		})
	}
}

func TestUnknownOutputIsRefused(t *testing.T) {
	t.Parallel()
	got := run(t, "status", "-o", "xml", "--api", "http://127.0.0.1:1")
	if got.code != 2 || !strings.Contains(got.errOut, "want one of json, yaml, name, wide, custom-columns=") {
		t.Errorf("got %+v", got)
	}
}

// TestStatus_ErrorHasAnEscapeSequence_IsPrintedWithout has a receiver whose error has an escape sequence.
func TestStatus_ErrorHasAnEscapeSequence_IsPrintedWithout(t *testing.T) {
	t.Parallel()
	b := well(0)
	b.status.Targets[0].State, b.status.Targets[0].Reason = api.TargetBackingOff, "\x1b[2Jgone\nfor good"
	b.status.Version = "v\t1\x1b"
	got := runAll(t, []*backend{b}, "status", "-o", "wide")
	if strings.ContainsAny(got.out, "\x1b\t") || !strings.Contains(got.out, "gone for good") {
		t.Errorf("got %q", got.out)
	}
}

// until is an output that ends a command when it has received enough.
type until struct {
	strings.Builder
	count  string
	times  int
	enough func()
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.Builder.Write(p)
	if strings.Count(u.String(), u.count) >= u.times {
		u.enough()
	}
	return n, err
}

func TestStatus_Watch_ShowsItAgainUntilInterrupted(t *testing.T) {
	t.Parallel()
	for format, shown := range map[string]string{"": "MEMBER", "json": `"receivers"`, "jsonpath={.receivers[0].name}": "default"} {
		ctx, cancel := context.WithCancel(t.Context())
		out := &until{count: shown, times: 3, enough: cancel}
		args := []string{"kubectl-vectordb_sync", "status", "-w", "--watch-interval", "1ms", "--api", backendURL(t, well(0))}
		if format != "" {
			args = append(args, "-o", format)
		}
		code := plugin.Main(ctx, args, "v1.2.3", genericiooptions.IOStreams{In: strings.NewReader(""), Out: out, ErrOut: io.Discard})
		cancel()
		if code != 130 || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%q: exit code %d, want 130 and nothing of terminals:\n%s", format, code, out.String())
		}
	}
	if got := run(t, "status", "-w", "--api", "127.0.0.1:1", "--controller-namespace", "x", "--request-timeout", "soon"); got.code != 2 {
		t.Errorf("%+v, want that the first look fails", got)
	}
}
