package plugin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// TestResyncAsksForExactlyWhatWasSaid is about money: each object that the user did not ask for costs an embedding.
func TestResyncAsksForExactlyWhatWasSaid(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want api.Request
		by   int // which of three replicas is asked
	}{
		"everything":        {nil, api.Request{Scope: "fleet"}, 0},
		"a resource":        {[]string{"--resource", "Deployments.apps"}, api.Request{Scope: "fleet", Resource: "deployments.apps"}, 0},
		"a namespace":       {[]string{"--namespace", "shop"}, api.Request{Scope: "fleet", Namespace: "shop"}, 0},
		"cluster-scoped":    {[]string{"-n", "_cluster"}, api.Request{Scope: "fleet", Namespace: "_cluster"}, 0},
		"a replica":         {[]string{"--replica", "sync-2"}, api.Request{Scope: "replica"}, 2},
		"force":             {[]string{"--force"}, api.Request{Scope: "fleet", Force: true}, 0},
		"all of it at once": {[]string{"--resource=pods", "-n=shop", "--replica=sync-1", "--force"}, api.Request{Scope: "replica", Resource: "pods", Namespace: "shop", Force: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := three()
			got := runAll(t, all, append([]string{"resync", "--wait=false"}, c.args...)...)
			if got.code != 0 || got.out != "resync op-1 is running: it has just begun\n" || got.errOut != "" {
				t.Errorf("got %+v", got)
			}
			for i, b := range all {
				var want []api.Request
				if i == c.by {
					want = []api.Request{c.want}
				}
				if diff := cmp.Diff(want, b.asked()); diff != "" {
					t.Errorf("sync-%d was asked for (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

func TestResyncIsFollowedToItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func() api.Operation
		code int
		want string
	}{
		"done": {func() api.Operation { return finished("done", "") }, 0, "resync op-1 done: 20243 objects of 60 types in 72s\n"},
		"failed": {
			func() api.Operation { return finished("failed", "the receiver is gone") }, 1,
			"resync op-1 failed: 20243 objects of 60 types in 72s\n  - the receiver is gone\n",
		},
		"a type left out": {func() api.Operation {
			op := finished("done", "")
			op.Failed = []api.TypeFailure{{Type: "widgets.v1.example.com", Error: "forbidden"}}
			return op
		}, 1, "resync op-1 done: 20243 objects of 60 types in 72s\n  - widgets.v1.example.com was left out: forbidden\n"},
		"orphans held": {func() api.Operation {
			op := finished("done", "")
			op.OrphansHeld = 1
			return op
		}, 1, "resync op-1 done: 20243 objects of 60 types in 72s\n" +
			"  - 1 orphan held back, suspiciously many; look at them, and use --force if they are to go\n"},
		"in part": {func() api.Operation {
			op := finished("done", "1 type could not be read")
			op.Failed = []api.TypeFailure{{Type: "widgets.v1.example.com", Error: "forbidden"}}
			op.OrphansDeleted, op.OrphansHeld = 1, 70
			return op
		}, 1, "resync op-1 done: 20243 objects of 60 types in 72s, 1 orphan deleted\n  - 1 type could not be read\n" +
			"  - 70 orphans held back, suspiciously many; look at them, and use --force if they are to go\n" +
			"  - widgets.v1.example.com was left out: forbidden\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := three()
			all[0].steps = []api.Operation{step(1200, 20243, 12), c.end()}
			got := runAll(t, all, "resync")
			if diff := cmp.Diff(c.want, got.out); got.code != c.code || diff != "" {
				t.Errorf("exit code %d, want %d (-want +got):\n%s", got.code, c.code, diff)
			}
			if !strings.Contains(got.errOut, "resync op-1: it has just begun\n") {
				t.Errorf("the log is %q", got.errOut)
			}
		})
	}
}

func TestResyncForProgramsIsTheOperation(t *testing.T) {
	t.Parallel()
	all := three()
	end := finished("done", "")
	end.Shares = []api.Share{{Member: "sync-0", Resources: api.Progress{Done: 9, Total: 9}}}
	all[0].steps = []api.Operation{end}
	got := runAll(t, all, "resync", "-o", "json")
	want, err := json.MarshalIndent(end, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want)+"\n", got.out); got.code != 0 || diff != "" {
		t.Errorf("exit code %d (-want +got):\n%s", got.code, diff)
	}
}

func TestResyncThatTakesTooLongGoesOn(t *testing.T) {
	t.Parallel()
	all := three()
	all[0].steps = []api.Operation{step(1200, 20243, 12)}
	got := runAll(t, all, "resync", "--timeout", "1ms")
	want := "error: resync op-1 is not done after 1ms: it has just begun; it goes on, and kubectl vectordb-sync resyncs shows it\n"
	if got.code != 1 || !strings.HasSuffix(got.errOut, want) {
		t.Errorf("got %+v", got)
	}
}

// TestNearNamesComeFromTheReplicas holds for requests that the API refuses: the message appears once, and no other
// replica is asked.
func TestNearNamesComeFromTheReplicas(t *testing.T) {
	t.Parallel()
	all := three()
	for _, b := range all {
		b.startErr = &api.NotFoundError{What: "watched resource", Name: "deploymnets", Suggestions: []string{"deployments.apps"}}
	}
	got := runAll(t, all, "resync", "--resource", "deploymnets")
	want := "error: starting a resync: no watched resource is named \"deploymnets\"; did you mean deployments.apps?\n"
	if got.code != 2 || got.errOut != want || len(all[1].asked()) != 0 {
		t.Errorf("got %+v, want %q", got, want)
	}
}

func TestAnotherReplicaIsAskedWhereOneCannot(t *testing.T) {
	t.Parallel()
	all := three()
	all[0].startErr = errors.Join(api.ErrNotReady)
	got := runAll(t, all, "resync", "--wait=false")
	if got.code != 0 || len(all[1].asked()) != 1 || len(all[2].asked()) != 0 {
		t.Errorf("got %+v", got)
	}
	for _, b := range all {
		b.startErr = errors.Join(api.ErrNotReady)
	}
	got = runAll(t, all, "resync")
	if got.code != 2 || strings.Count(got.errOut, "this replica is still starting") != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestUnknownReplicaIsRefused(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"snyc-1": `error: no replica is named "snyc-1"; did you mean sync-1`,
		"other":  `error: no replica is named "other", want one of sync-0, sync-1, sync-2`,
	} {
		all := three()
		got := runAll(t, all, "resync", "--replica", typed)
		if got.code != 2 || !strings.HasPrefix(got.errOut, want) || len(all[0].asked()) != 0 {
			t.Errorf("%s: got %+v", typed, got)
		}
	}
}

func TestResyncsOfAllReplicasAreOneList(t *testing.T) {
	t.Parallel()
	all := three()
	all[0].steps = []api.Operation{step(1200, 20243, 12)}
	all[1].steps = []api.Operation{finished("done", "")} // knows a later state of the operation
	got := runAll(t, all, "resyncs")
	if got.code != 0 {
		t.Errorf("exit code %d: %s", got.code, got.errOut)
	}
	golden(t, "resyncs.txt", got.out)
}

func TestSharesOfAResyncAreShown(t *testing.T) {
	t.Parallel()
	all := three()
	end := finished("done", "")
	end.Shares = []api.Share{
		{Member: "sync-0", Parts: api.Progress{Done: 40, Total: 40}, Resources: api.Progress{Done: 10000, Total: 10000}},
		{Member: "sync-1", Parts: api.Progress{Done: 20, Total: 21}, Resources: api.Progress{Done: 10243, Total: 10500}},
	}
	all[0].steps = []api.Operation{end}
	golden(t, "resync-wide.txt", runAll(t, all, "resync", "-o", "wide").out)
}
