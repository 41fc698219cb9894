package pipeline_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// TestLost_AnothersToSend_IsKeptUntilItIsNamedAsDelivered: a checkpoint that covers its version may be wrong about it.
func TestLost_AnothersToSend_IsKeptUntilItIsNamedAsDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var delivered atomic.Bool
		r := newRig(t, pipeline.Options{Owner: owning(nobody), Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool {
			return !s.Lost || delivered.Load()
		}})
		r.index.Replace(pods, nil, 100)
		r.index.Replace(pods, []resource.Record{record("x", "1", 90), record("y", "1", 101)}, 110)
		r.p.ForgetCovered(nil, nil)
		if got := r.p.Lost(); len(got) != 1 || got[0].ID != id("x") || got[0].Record.ResourceVersion != 110 {
			t.Errorf("lost are %v, want x by the version of the list", got)
		}
		delivered.Store(true)
		r.p.ForgetCovered(nil, nil)
		if s := r.p.Stats(); s.Parked != 0 {
			t.Errorf("%d are kept after it is named", s.Parked)
		}
	})
}

// TestAgain_StateThatAnotherHadLost_IsSentOnce and told of, whether or not it is on its way already.
func TestAgain_StateThatAnotherHadLost_IsSentOnce(t *testing.T) {
	for name, waiting := range map[string]bool{"it is thought to be there": false, "it is on its way": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				told := make(chan pipeline.State, 9)
				r := newRig(t, pipeline.Options{Delivered: func(_ resource.ID, s pipeline.State) { told <- s }})
				r.list("x", "1")
				if !waiting {
					time.Sleep(time.Minute)
				}
				mark := len(r.rcv.requests())
				again := record("x", "", 100)
				again.Digest = record("x", "1", 0).Digest
				for range 2 {
					r.p.Again(pods, again)
				}
				time.Sleep(time.Second)
				pump(r, map[string]string{"x": "1"})
				time.Sleep(time.Minute)
				wantDocs(t, r, "x", "1")
				if n := len(r.rcv.requests()) - mark; n != 1 || len(told) != 1 {
					t.Fatalf("sent in %d requests, told of %d states", n, len(told))
				}
				if s := <-told; !s.Lost || s.Digest != again.Digest {
					t.Errorf("told of %+v", s)
				}
			})
		})
	}
}
