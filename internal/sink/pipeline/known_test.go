package pipeline_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// TestPipeline_ObjectReturnsToTheDeliveredState_IsNotSent goes through all ways in which an object can return to
// an earlier state before it was sent. The first state, x=1, is delivered at second 5; the steps begin at second
// 60.
func TestPipeline_ObjectReturnsToTheDeliveredState_IsNotSent(t *testing.T) {
	const first = "5s +x=1"
	for name, tt := range map[string]struct {
		steps func(r *rig)
		want  []string
	}{
		"changed and changed back": {func(r *rig) { r.put("x", "2"); r.put("x", "1") }, []string{first}},
		"changed twice and back":   {func(r *rig) { r.put("x", "2"); r.put("x", "3"); r.put("x", "1") }, []string{first}},
		"changed and changed":      {func(r *rig) { r.put("x", "2"); r.put("x", "3") }, []string{first, "75s +x=3"}},
		"changed and deleted":      {func(r *rig) { r.put("x", "2"); r.del("x") }, []string{first, "60s -x"}},
		"a relist finds the old state again": {
			func(r *rig) { r.put("x", "2"); r.list("x", "1") }, []string{first},
		},
		"a relist finds it gone": {func(r *rig) { r.put("x", "2"); r.list() }, []string{first, "60s -x"}},
		// The receiver may have a document of that ID from an earlier process, so the deletion is sent.
		"created and deleted": {func(r *rig) { r.put("y", "1"); r.del("y") }, []string{first, "60s -y"}},
		"created, changed and changed back": {
			func(r *rig) { r.put("y", "1"); r.put("y", "2"); r.put("y", "1") }, []string{first, "75s +y=1"},
		},
		// The receiver may have lost its documents: that is the purpose of resyncs.
		"changed back while a resync asks for it": {
			func(r *rig) {
				r.put("x", "2")
				r.p.Offer(pods, record("x", "2", 200), pipeline.NewTicket())
				r.put("x", "1")
			}, []string{first, "75s +x=1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{})
				r.list("x", "1")
				time.Sleep(time.Minute)
				tt.steps(r)
				time.Sleep(5 * time.Minute)
				wantRequests(t, r, tt.want...)
				if s := r.p.Stats(); s.Dirty != 0 || s.BodyBytes != 0 {
					t.Errorf("not at rest: %+v", s)
				}
			})
		})
	}
}

// TestDeletedAndCreatedAgainBeforeTheDeletionIsSent has both slots of the receiver busy, so that the deletion waits.
func TestDeletedAndCreatedAgainBeforeTheDeletionIsSent(t *testing.T) {
	for name, tt := range map[string]struct{ recreated, want string }{
		"as it was": {"1", ""}, "otherwise": {"2", "80s +x=2"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{})
				r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 20 * time.Second; return a }
				r.list("x", "1", "y", "1", "z", "1")
				time.Sleep(time.Minute)
				r.del("y")
				wantRequests(t, r, "5s +x=1 +y=1 +z=1", "60s -y")
				r.del("z")
				wantRequests(t, r, "5s +x=1 +y=1 +z=1", "60s -y", "60s -z")
				r.del("x")
				r.put("x", tt.recreated)
				time.Sleep(5 * time.Minute)
				want := []string{"5s +x=1 +y=1 +z=1", "60s -y", "60s -z"}
				if tt.want != "" {
					want = append(want, tt.want)
				}
				wantRequests(t, r, want...)
				wantDocs(t, r, "x", tt.recreated)
			})
		})
	}
}

// TestAChangeUndoneDuringItsObjectsRequest: the state in the request counts as known once it is acknowledged, and
// only then.
func TestAChangeUndoneDuringItsObjectsRequest(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome wire.Outcome
		want    []string
	}{
		"acknowledged": {wire.Outcome{Kind: wire.Delivered, Status: 200}, []string{"11s +x=1"}},
		"not": {
			wire.Outcome{Kind: wire.Retry, Status: 429}, []string{"11s +x=1", "42s +x=1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{FlushInterval: time.Second})
				r.rcv.decide = answering(answer{outcome: tt.outcome, apply: tt.outcome.Kind == wire.Delivered, took: 30 * time.Second})
				r.list()
				r.put("x", "1")
				time.Sleep(12 * time.Second)
				r.put("x", "2")
				time.Sleep(time.Second)
				r.put("x", "1")
				time.Sleep(5 * time.Minute)
				got := r.rcv.requests()
				if len(got) != len(tt.want) {
					t.Errorf("requests (-want +got):\n%s", cmp.Diff(tt.want, got))
				}
				wantDocs(t, r, "x", "1")
				if s := r.p.Stats(); s.Dirty != 0 {
					t.Errorf("not at rest: %+v", s)
				}
			})
		})
	}
}

// TestAChangeUndoneWhileTheReceiverIsAway: a request that no receiver has read leaves the known state as it is.
func TestAChangeUndoneWhileTheReceiverIsAway(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome  wire.Outcome
		wantLast bool
	}{
		"the connection is refused": {wire.Outcome{Kind: wire.Retry, Reason: "not sent"}, false},
		"it asks for time":          {wire.Outcome{Kind: wire.Retry, Status: 429}, false},
		"the credential is refused": {wire.Outcome{Kind: wire.Unauthorized, Status: 401}, false},
		"a gateway is in trouble":   {wire.Outcome{Kind: wire.Unknown, Status: 503}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{FlushInterval: time.Second})
				var away atomic.Bool
				r.rcv.decide = func(int, delivery.Request) answer {
					if away.Load() {
						return answer{outcome: tt.outcome, took: 10 * time.Millisecond}
					}
					return delivered
				}
				r.list("x", "1")
				time.Sleep(time.Minute)
				away.Store(true)
				r.put("x", "2")
				time.Sleep(time.Minute) // attempts fail
				r.put("x", "1")
				time.Sleep(time.Second)
				away.Store(false)
				time.Sleep(5 * time.Minute)
				got := r.rcv.requests()
				last := got[len(got)-1]
				if sent := strings.HasSuffix(last, "+x=1") && len(got) > 1; sent != tt.wantLast {
					t.Errorf("the undone change is sent: %v, want %v; requests %v", sent, tt.wantLast, got)
				}
				wantDocs(t, r, "x", "1")
				if s := r.p.Stats(); s.Dirty != 0 {
					t.Errorf("not at rest: %+v", s)
				}
			})
		})
	}
}
