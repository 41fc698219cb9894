package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func TestAPoisonObjectIsFoundNamedAndLeftOutWhileOthersPass(t *testing.T) {
	for name, tt := range map[string]struct {
		kind   wire.Kind
		status int
	}{
		"500": {wire.ServerError, 500}, "400 that names nothing": {wire.Unprocessable, 400}, "too large": {wire.TooLarge, 413},
		"reset": {wire.Unknown, 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				reg := prometheus.NewRegistry()
				r := newRig(t, pipeline.Options{Target: "t", Registerer: reg})
				r.rcv.decide = func(_ int, req delivery.Request) answer {
					for _, u := range req.Upserts {
						if u.Name == "poison" {
							return answer{outcome: wire.Outcome{Kind: tt.kind, Status: tt.status, Reason: "no"}, took: time.Millisecond}
						}
					}
					return delivered
				}
				objects := []string{"poison", "1"}
				for i := range 120 {
					objects = append(objects, fmt.Sprintf("o%03d", i), "1")
				}
				r.list(objects...)
				deadline := time.Now().Add(30 * time.Second)
				for len(r.rcv.documents()) < 120 && time.Now().Before(deadline) {
					time.Sleep(time.Second)
				}
				if n := len(r.rcv.documents()); n != 120 {
					t.Fatalf("%d of 120 innocent objects delivered: %+v", n, r.p.Stats())
				}
				for i := range 30 { // others pass, which is the evidence against the poison
					r.put("live", fmt.Sprint(i))
					time.Sleep(20 * time.Second)
				}
				q := r.p.Quarantined(0)
				if len(q) != 1 || q[0].ID != id("poison") || q[0].Reason != "no" {
					t.Fatalf("quarantined: %+v, stats %+v", q, r.p.Stats())
				}
				want := "# HELP k8s_vectordb_sync_quarantined_object_info 1 for each object that the receiver refuses, by name; for the first hundred.\n" +
					"# TYPE k8s_vectordb_sync_quarantined_object_info gauge\n" +
					"k8s_vectordb_sync_quarantined_object_info{id=\"a/v1/Pod/poison\",target=\"t\"} 1\n"
				if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "k8s_vectordb_sync_quarantined_object_info"); err != nil {
					t.Error(err)
				}
				r.rcv.mu.Lock()
				r.rcv.decide = func(int, delivery.Request) answer { return delivered }
				r.rcv.mu.Unlock()
				r.put("poison", "2")
				time.Sleep(time.Hour)
				if got := r.rcv.documents()[id("poison")]; got != "2" {
					t.Errorf("a quarantined object that changed is not tried again: %+v", r.p.Stats())
				}
				if n, _ := testutil.GatherAndCount(reg, "k8s_vectordb_sync_quarantined_object_info"); n != 0 {
					t.Error("the metric names an object that was delivered")
				}
			})
		})
	}
}

func TestRefusedItemsAreSetAsideAndTheRestIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			for i, u := range req.Upserts {
				if u.Name == "bad" {
					return answer{outcome: wire.Outcome{Kind: wire.Refused, Status: 400, Bad: []wire.ItemError{{Index: i, Reason: "createdAt: no"}}}}
				}
			}
			return delivered
		}
		r.list("bad", "1", "x", "1", "y", "1")
		time.Sleep(6 * time.Second)
		wantDocs(t, r, "x", "1", "y", "1")
		if q := r.p.Quarantined(0); len(q) != 1 || q[0].Reason != "createdAt: no" {
			t.Errorf("quarantined: %+v", q)
		}
		want := map[resource.Type]pipeline.Unacknowledged{pods: {Refused: []resource.ID{id("bad")}}}
		if _, all := r.p.Unacknowledged(match(anybody)); !cmp.Equal(want, all) {
			t.Errorf("not acknowledged: %+v, want only what is refused, named as such", all)
		}
	})
}

func TestOnlyWhatFailedOfAPartialFailureIsSentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(n int, req delivery.Request) answer {
			if n > 0 {
				return delivered
			}
			return answer{outcome: wire.Outcome{Kind: wire.Partial, Status: 400, Failed: []wire.ItemError{{Index: 1, Reason: "embedding"}}}, apply: true}
		}
		r.list("x", "1", "y", "1", "z", "1")
		time.Sleep(time.Minute)
		got := r.rcv.requests()
		if len(got) != 2 || strings.Count(got[1], "+") != 1 {
			t.Errorf("requests: %v", got)
		}
	})
}

func TestADownReceiverCoalescesAndCatchesUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Second})
		down := time.Now().Add(10 * time.Minute)
		r.rcv.decide = func(int, delivery.Request) answer {
			if time.Now().Before(down) {
				return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503, Reason: "down"}}
			}
			return delivered
		}
		r.list()
		for i := range 600 {
			r.put(fmt.Sprint("o", i%10), fmt.Sprint(i))
			time.Sleep(time.Second)
		}
		// Half of a backoff of 15 s is drawn: two probes are at least 7.5 s apart, and the first few less.
		if n := len(r.rcv.requests()); n > 85 {
			t.Errorf("%d requests to a receiver that was down for ten minutes", n)
		}
		if s := r.p.Stats(); s.Dirty != 10 {
			t.Errorf("dirty %d, want 10", s.Dirty)
		}
		time.Sleep(2 * time.Minute)
		if n := len(r.rcv.documents()); n != 10 || r.p.Stats().Dirty != 0 {
			t.Errorf("%d documents, %+v", n, r.p.Stats())
		}
	})
}

// TestAProbeHoldsOneObject: a probe with many objects may fail by the fault of one of them, at a receiver that is well.
func TestAProbeHoldsOneObject(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 50, FlushInterval: time.Second})
		down := time.Now().Add(time.Minute)
		r.rcv.decide = func(int, delivery.Request) answer {
			if time.Now().Before(down) {
				return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503, Reason: "down"}}
			}
			return delivered
		}
		r.list(named(200)...)
		time.Sleep(30 * time.Second) // The breaker has opened, and probes alone go.
		before := len(r.rcv.requests())
		time.Sleep(30 * time.Second)
		probes := r.rcv.requests()[before:]
		if len(probes) == 0 {
			t.Fatal("no probe was sent")
		}
		for _, p := range probes {
			if n := strings.Count(p, "+"); n != 1 {
				t.Errorf("a probe holds %d objects: %s", n, p)
			}
		}
		time.Sleep(time.Minute)
		if n := len(r.rcv.documents()); n != 200 {
			t.Errorf("%d documents of 200", n)
		}
	})
}

func TestPipeline_OutcomeIsUnknown_RepeatsTheLastWord(t *testing.T) {
	for name, tt := range map[string]struct {
		late time.Duration
		op   func(r *rig)
		want []string
	}{
		"an old upsert lands after a newer one": {30 * time.Second, func(r *rig) { r.put("x", "new") }, []string{"x", "new"}},
		"an old upsert lands after the delete":  {30 * time.Second, func(r *rig) { r.del("x") }, nil},
		"it lands minutes later":                {200 * time.Second, func(r *rig) { r.put("x", "new") }, []string{"x", "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Second, Settle: time.Minute})
				r.list()
				r.rcv.decide = answering(answer{outcome: wire.Outcome{Kind: wire.Unknown, Reason: "timeout"}, took: time.Second, late: tt.late})
				r.put("x", "old")
				time.Sleep(3500 * time.Millisecond)
				tt.op(r)
				time.Sleep(tt.late + time.Minute + 10*time.Second)
				wantDocs(t, r, tt.want...)
				time.Sleep(10 * time.Minute)
				wantDocs(t, r, tt.want...)
				if s := r.p.Stats(); s.Unsettled != 0 || s.Dirty != 0 {
					t.Errorf("not at rest: %+v", s)
				}
			})
		})
	}
}
