package retired_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline/pipelinetest"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// succeed gives the undelivered objects of a receiver's pipeline to its successor's, over an index to which both
// listen, one after the other. between runs after the first is stopped. succeed returns the number of names that
// were kept after between.
func succeed(x *index.Index, before, after *pipeline.Pipeline, between func()) (kept int) {
	e := retired.Begin(retired.Options{Index: x, Wants: func(resource.Type, string, string) bool { return true }})
	e.Take(before)
	between()
	kept = e.Len()
	defer x.Listen(after)()
	e.Resume(&repair.Deleter{
		Index: x, Pipeline: after, Hides: func(resource.Type, string, string) bool { return false }, Gone: func(resource.Type) bool { return false },
		MaySend: func(resource.Type, resource.ID) bool { return true },
	})
	return kept
}

// TestDeletionsGoToTheSuccessor has objects deleted before, between and after two lives of a receiver.
func TestDeletionsGoToTheSuccessor(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	var all []resource.Record
	for i, name := range []string{"before", "between", "back", "there"} {
		all = append(all, resource.Record{Namespace: "a", Name: name, ResourceVersion: uint64(i + 1), Digest: 1})
	}
	x.Replace(pods, all, 100)
	first, second := pipelinetest.Idle(), pipelinetest.Idle()
	unlisten := x.Listen(first)
	x.Delete(pods, "a", "before", 101)
	x.Delete(pods, "a", "back", 102)
	succeed(x, first, second, func() {
		unlisten()
		x.Delete(pods, "a", "between", 103)
		x.Upsert(pods, resource.Record{Namespace: "a", Name: "back", ResourceVersion: 104, Digest: 2})
	})
	if diff := cmp.Diff([]string{"before", "between"}, pipelinetest.PendingDeletions(second, pods)); diff != "" {
		t.Errorf("the successor has to delete (-want +got):\n%s", diff)
	}
}

// TestBacklog_ObjectComesAndGoesWhileStopped_IsNotKept: a ResourceSyncConfig that is invalid may stay so, and jobs
// come and go meanwhile.
func TestBacklog_ObjectComesAndGoesWhileStopped_IsNotKept(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "there", ResourceVersion: 1, Digest: 1}}, 1)
	first, second := pipelinetest.Idle(), pipelinetest.Idle()
	unlisten := x.Listen(first)
	kept := succeed(x, first, second, func() {
		unlisten()
		for i := range uint64(2000) {
			name := "job-" + strconv.FormatUint(i, 10)
			x.Upsert(pods, resource.Record{Namespace: "a", Name: name, Digest: 1, ResourceVersion: 2*i + 2})
			x.Delete(pods, "a", name, 2*i+3)
			x.Delete(pods, "a", "there", 2*i+3)
			x.Upsert(pods, resource.Record{Namespace: "a", Name: "there", Digest: 1, ResourceVersion: 2*i + 4})
		}
		x.Delete(pods, "a", "there", 5000)
	})
	if diff := cmp.Diff([]string{"there"}, pipelinetest.PendingDeletions(second, pods)); diff != "" || kept != 1 {
		t.Errorf("%d names are kept, want 1; the successor has to delete (-want +got):\n%s", kept, diff)
	}
}

// TestALifeEndsWhileEverythingChanges would hang if Take needed a lock for which a change waits.
func TestALifeEndsWhileEverythingChanges(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, nil, 1)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // Ends with stop.
		defer close(done)
		for i := uint64(2); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := strconv.Itoa(int(i % 50))
			x.Upsert(pods, resource.Record{Namespace: "a", Name: name, ResourceVersion: i, Digest: i})
			x.Delete(pods, "a", name, i)
		}
	}()
	for range 200 {
		first, second := pipelinetest.Idle(), pipelinetest.Idle()
		unlisten := x.Listen(first)
		succeed(x, first, second, unlisten)
	}
	close(stop)
	<-done
}
