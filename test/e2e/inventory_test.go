//go:build e2e

package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

const (
	foundMetric   = "k8s_vectordb_sync_missed_deletions_found_total"
	unknownMetric = "k8s_vectordb_sync_unknown_deletions_types"
	heldMetric    = "k8s_vectordb_sync_held_deletions"
)

// TestInventoryFindsWhatTheAPIServerHasForgotten deletes objects while no replica runs, and has the API server
// forget them before replicas start again.
func TestInventoryFindsWhatTheAPIServerHasForgotten(t *testing.T) {
	besideWaiting(t, 110*time.Second)
	r := fleet.New(t, fleet.Options{})
	first, second := t.TempDir(), t.TempDir()
	env := func(name, dir string) map[string]string { return map[string]string{"POD_NAME": name, "STATE_DIR": dir} }

	t.Run("one replica that remembers", func(t *testing.T) {
		r := r.In(t)
		gone := batchOf(r, "one", 20)
		p := r.Start(env("sync-0", first))
		settleIn(r, p)
		stopAll(t, p)
		forget(t, r, gone)

		p = r.Start(env("sync-0", first))
		p.WaitReady(time.Minute)
		r.WaitEqual(converge)
		if got := p.Metric(foundMetric, "source", "inventory"); got < 20 {
			t.Errorf("%v deletions were found by the inventory, want 20 at least", got)
		}
		if got := p.Metric(unknownMetric); got != 0 {
			t.Errorf("of %v types deletions are said to be unknown, want none", got)
		}
		stopAll(t, p)
	})

	t.Run("two replicas, one of which remembers nothing", func(t *testing.T) {
		r := r.In(t)
		gone := batchOf(r, "two", 20)
		p, q := r.Start(env("sync-0", first)), r.Start(env("sync-1", second))
		settleIn(r, p, q)
		stopAll(t, p, q)
		forget(t, r, gone)

		p, q = r.Start(env("sync-0", first)), r.Start(env("sync-1", t.TempDir()))
		p.WaitReady(time.Minute)
		q.WaitReady(time.Minute)
		r.WaitEqual(time.Minute)
		stopAll(t, p, q)
	})

	t.Run("a replica without a directory guesses nothing", func(t *testing.T) {
		r := r.In(t)
		gone := batchOf(r, "none", 5)
		p := r.Start(env("sync-0", ""))
		settleIn(r, p)
		stopAll(t, p)
		forget(t, r, gone)

		p = r.Start(env("sync-0", ""))
		stays(t, r, p, gone)
		if got := p.Metric(unknownMetric); got == 0 {
			t.Error("no type is said to be unknown")
		}
		stopAll(t, p)
	})

	t.Run("more than may be deleted unasked stays", func(t *testing.T) {
		r := r.In(t)
		gone := batchOf(r, "many", 80)
		p := r.Start(env("sync-0", first))
		p.WaitReady(time.Minute)
		fleet.Eventually(t, converge, func() string {
			if n := len(r.Diff().Missing); n > 0 {
				return fmt.Sprintf("%d documents are missing", n)
			}
			return ""
		})
		p.WaitInStep(time.Minute)
		stopAll(t, p)
		forget(t, r, gone)

		for range 2 { // The next process finds them as well.
			p = r.Start(env("sync-0", first))
			stays(t, r, p, gone)
			if got := p.Metric(heldMetric); got < 80 {
				t.Errorf("%v deletions are held back, want 80 at least", got)
			}
			if got := p.Metric(unknownMetric); got == 0 {
				t.Error("no type is said to be unknown")
			}
			stopAll(t, p)
		}

		p, q := r.Start(env("sync-0", first)), r.Start(env("sync-1", t.TempDir()))
		stays(t, r, p, gone)
		q.WaitReady(time.Minute)
		postResync(t, q, "?resource=pods&force=true")
		if got := p.Metric(heldMetric); got < 80 {
			t.Errorf("force for another type leaves %v deletions held back, want 80 at least", got)
		}
		if op := postResync(t, q, "?resource=configmaps&force=true"); op.OrphansDeleted < 80 {
			t.Errorf("%d orphans were deleted, want 80 at least: %+v", op.OrphansDeleted, op)
		}
		r.WaitEqual(converge, planted("default", "none", 5)...) // of the story before this one
		fleet.Eventually(t, converge, func() string {
			if got, unknown := p.Metric(heldMetric), p.Metric(unknownMetric); got != 0 || unknown != 0 {
				return fmt.Sprintf("%v deletions are held back, of %v types deletions are unknown", got, unknown)
			}
			return ""
		})
		stopAll(t, p, q)
	})
}

// batchOf makes ConfigMaps, and returns their IDs.
func batchOf(r *fleet.Rig, prefix string, n int) []resource.ID {
	ids := make([]resource.ID, n)
	manifest := ""
	for i := range ids {
		name := fmt.Sprintf("%s-%d", prefix, i)
		ids[i] = resource.ID("default/v1/ConfigMap/" + name)
		manifest += fmt.Sprintf("---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: default, labels: {batch: %s}}}\n", name, prefix)
	}
	r.Apply(manifest)
	return ids
}

// settleIn waits until the receiver has everything, and the replicas know that.
func settleIn(r *fleet.Rig, all ...*fleet.Replica) {
	for _, p := range all {
		p.WaitReady(time.Minute)
	}
	r.WaitEqual(time.Minute)
	for _, p := range all {
		p.WaitInStep(time.Minute)
	}
}

func stopAll(t *testing.T, all ...*fleet.Replica) {
	t.Helper()
	for _, p := range all {
		if code := p.Stop(time.Minute); code != 0 {
			t.Fatalf("%s ended with %d", p.Name, code)
		}
	}
}

// forget deletes ConfigMaps while no member watches, and has the API server forget them.
func forget(t *testing.T, r *fleet.Rig, ids []resource.ID) {
	t.Helper()
	args := []string{"delete", "--wait=true", "configmap"}
	for _, id := range ids {
		args = append(args, string(id[len("default/v1/ConfigMap/"):]))
	}
	r.Kube("", args...)
	if _, err := r.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.StopAPIServer(true); err != nil {
		t.Fatal(err)
	}
	if err := r.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// stays waits until a replica has reported that deletions may be missing, and is in step otherwise. It fails when
// any of the documents is gone.
func stays(t *testing.T, r *fleet.Rig, p *fleet.Replica, ids []resource.ID) {
	t.Helper()
	p.WaitReady(time.Minute)
	fleet.Eventually(t, converge, func() string {
		if p.Metric(unknownMetric) == 0 {
			return "no type is said to be unknown"
		}
		return ""
	})
	r.Kube("", "create", "configmap", "after-"+string(ids[0][len("default/v1/ConfigMap/"):])+fmt.Sprint(len(r.Requests())))
	fleet.Eventually(t, converge, func() string {
		if n := len(r.Diff().Missing); n > 0 {
			return fmt.Sprintf("%d documents are missing", n)
		}
		return ""
	})
	p.WaitInStep(time.Minute)
	documents := r.Documents()
	lost := slices.DeleteFunc(slices.Clone(ids), func(id resource.ID) bool { _, there := documents[id]; return there })
	if len(lost) > 0 {
		t.Errorf("deleted on a guess: %v", lost)
	}
}
