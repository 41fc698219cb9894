package pipeline_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func TestFlushSendsWhatIsDueAndSaysWhatIsLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: time.Hour, MaxWait: time.Hour})
		r.list()
		r.put("x", "1")
		r.put("y", "1")
		r.del("z")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if diff := cmp.Diff(pipeline.Left{}, r.p.Flush(ctx)); diff != "" {
			t.Error(diff)
		}
		wantDocs(t, r, "x", "1", "y", "1")
	})
}

func TestFlushGivesUpAtItsDeadlineAndCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(int, delivery.Request) answer {
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Reason: "refused"}}
		}
		r.list()
		r.put("x", "1")
		r.del("z")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if diff := cmp.Diff(pipeline.Left{Upserts: 1, Deletes: 1}, r.p.Flush(ctx)); diff != "" {
			t.Error(diff)
		}
	})
}

// TestFlushTowardsAReceiverThatIsGone counts the rest by place. Parked objects are another member's, and
// quarantined ones were reported before.
func TestFlushTowardsAReceiverThatIsGone(t *testing.T) {
	for name, a := range map[string]answer{
		"refuses connections": {outcome: wire.Outcome{Kind: wire.Retry, Reason: "refused"}},
		"hangs":               {outcome: wire.Outcome{Kind: wire.Unknown, Reason: "timeout"}, took: time.Hour},
		"answers 500":         {outcome: wire.Outcome{Kind: wire.ServerError, Status: 500}, took: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				others := owning(func(i resource.ID) bool { return i != id("theirs") && i != id("theirs-too") })
				r := newRig(t, pipeline.Options{Owner: others})
				r.list()
				r.rcv.decide = func(n int, _ delivery.Request) answer {
					if n == 0 {
						return answer{outcome: wire.Outcome{Kind: wire.Unprocessable, Status: 400, Reason: "no"}}
					}
					return a
				}
				r.put("bad", "1")
				time.Sleep(time.Minute) // now it is quarantined
				r.put("x", "1")
				r.put("y", "1")
				r.put("theirs", "1")
				r.del("theirs-too")
				r.del("z")
				began := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
				defer cancel()
				if diff := cmp.Diff(pipeline.Left{Upserts: 2, Deletes: 1}, r.p.Flush(ctx)); diff != "" {
					t.Error(diff)
				}
				if took := time.Since(began); took != 25*time.Second {
					t.Errorf("Flush took %v, want its deadline", took)
				}
				r.stop()
				if diff := cmp.Diff(pipeline.Left{Upserts: 2, Deletes: 1}, r.p.Flush(t.Context())); diff != "" {
					t.Errorf("after the end: %s", diff)
				}
			})
		})
	}
}

func TestFlushDoesNotWaitForBodiesThatNobodyWillBring(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxBodyBytes: 20})
		r.list("a", "twelve bytes", "b", "twelve bytes", "c", "twelve bytes")
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		left := r.p.Flush(ctx)
		if took := time.Since(began); took > time.Second || left.Upserts != 2 {
			t.Errorf("left %+v after %v, want two evicted objects at once", left, took)
		}
	})
}
