package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func TestItem_WaitsFailsAndIsDelivered_IsShownSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		well := false // only touched under the receiver's lock
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			if well {
				return delivered
			}
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 429, Reason: "slow down"}, took: time.Millisecond}
		}
		show := func() pipeline.ItemStatus {
			t.Helper()
			s, ok := r.p.Item(id("x"))
			if !ok {
				t.Fatal("nothing is known of an object that waits")
			}
			return s
		}
		r.put("x", "1")
		began := time.Now()
		if s := show(); s.Place != "waiting" || !s.Since.Equal(began) || s.InFlight || s.Failure.Tries != 0 {
			t.Errorf("in its debounce window it is shown as %+v", s)
		}
		time.Sleep(5 * time.Minute)
		s := show()
		want := pipeline.ItemStatus{
			Place: "queued", State: pipeline.State{Version: 101, Digest: record("x", "1", 101).Digest}, Since: began,
			Failure: pipeline.Failure{Outcome: wire.Retry, Reason: "slow down"},
		}
		if diff := cmp.Diff(want, s, cmpopts.IgnoreFields(pipeline.Failure{}, "Tries", "At")); diff != "" {
			t.Errorf("after requests in vain (-want +got):\n%s", diff)
		}
		if tries := len(r.rcv.requests()); s.Failure.Tries != tries || tries < 2 {
			t.Errorf("%d tries of %d are shown", s.Failure.Tries, tries)
		}
		r.rcv.mu.Lock()
		well = true
		r.rcv.mu.Unlock()
		time.Sleep(5 * time.Minute)
		wantDocs(t, r, "x", "1")
		if s, ok := r.p.Item(id("x")); ok {
			t.Errorf("what is delivered is shown as %+v", s)
		}
		r.put("x", "2")
		if s := show(); s.Failure.Tries != 0 {
			t.Errorf("failures of a state that was delivered in the end are shown: %+v", s)
		}
	})
}

// The failures of a bounded number of objects are remembered, the latest.
func TestItem_ManyFail_LatestFailuresAreKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			bad := make([]wire.ItemError, len(req.Upserts))
			for i := range bad {
				bad[i] = wire.ItemError{Index: i, Reason: "no"}
			}
			return answer{outcome: wire.Outcome{Kind: wire.Refused, Status: 400, Bad: bad}, took: time.Millisecond}
		}
		var objects []string
		for i := range 1500 {
			objects = append(objects, fmt.Sprintf("o%04d", i), "1")
		}
		r.list(objects...)
		time.Sleep(time.Hour)
		known := 0
		for i := range 1500 {
			s, ok := r.p.Item(id(fmt.Sprintf("o%04d", i)))
			if !ok || s.Place != "quarantined" || s.Reason != "no" {
				t.Fatalf("a refused object is shown as %+v", s)
			}
			if s.Failure.Tries > 0 {
				known++
			}
		}
		if known != 1000 {
			t.Errorf("failures of %d objects are remembered, want 1000", known)
		}
	})
}
