package pipeline_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func wantRequests(t *testing.T, r *rig, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, r.rcv.requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func wantDocs(t *testing.T, r *rig, nameBody ...string) {
	t.Helper()
	want := map[resource.ID]resource.Body{}
	for i := 0; i < len(nameBody); i += 2 {
		want[id(nameBody[i])] = resource.Body(nameBody[i+1])
	}
	if diff := cmp.Diff(want, r.rcv.documents()); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}

func TestChangesWaitForQuietAndOnlyTheLastStateIsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list()
		r.put("x", "1")
		time.Sleep(4 * time.Second)
		r.put("x", "2")
		time.Sleep(4 * time.Second)
		r.put("x", "3")
		time.Sleep(14 * time.Second) // quiet 10 s after second 8, then 5 s for the batch to fill
		wantRequests(t, r)
		time.Sleep(2 * time.Second)
		wantRequests(t, r, "23s +x=3")
	})
}

func TestARestlessObjectIsSentEveryMaxWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: 10 * time.Second, MaxWait: 30 * time.Second, FlushInterval: time.Second})
		r.list()
		for s := range 100 {
			r.put("x", fmt.Sprint(s))
			time.Sleep(time.Second)
		}
		got := r.rcv.requests()
		if len(got) != 3 {
			t.Errorf("sent %v, want one every 30 s", got)
		}
	})
}

func TestDeletesGoAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list("x", "1")
		time.Sleep(time.Minute)
		r.del("x")
		time.Sleep(time.Second)
		wantRequests(t, r, "5s +x=1", "60s -x")
		wantDocs(t, r)
	})
}

func TestADeleteOvertakesTheDebounceOfItsObject(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list()
		r.put("x", "1")
		time.Sleep(time.Second)
		r.del("x")
		time.Sleep(time.Minute)
		wantRequests(t, r, "1s -x")
	})
}

func TestDeleteThenRecreateBecomesOneUpsertWhileTheReceiverIsBusy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 20 * time.Second; return a }
		r.list("x", "1", "y", "1", "z", "1")
		time.Sleep(time.Minute)
		r.del("y")
		synctest.Wait()
		r.del("z")
		synctest.Wait() // both slots are taken
		r.del("x")
		r.put("x", "2")
		time.Sleep(3 * time.Minute)
		wantRequests(t, r, "5s +x=1 +y=1 +z=1", "60s -y", "60s -z", "80s +x=2")
		wantDocs(t, r, "x", "2")
	})
}

func TestAChangeThatIsUndoneIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list("x", "1")
		time.Sleep(time.Minute)
		r.put("x", "2")
		time.Sleep(time.Second)
		r.put("x", "1")
		time.Sleep(time.Minute)
		wantRequests(t, r, "5s +x=1")
		if s := r.p.Stats(); s.Dirty != 0 {
			t.Errorf("dirty: %+v", s)
		}
	})
}

func TestAnAcknowledgementKeepsANewerState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{FlushInterval: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
		r.list()
		r.put("x", "1")
		time.Sleep(20 * time.Second) // in flight from 11 s to 41 s
		r.put("x", "2")              // quiet at 30 s, while in flight
		time.Sleep(2 * time.Minute)
		wantRequests(t, r, "11s +x=1", "42s +x=2")
		wantDocs(t, r, "x", "2")
	})
}

func TestADeleteDuringItsUpsertFollowsIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{FlushInterval: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
		r.list()
		r.put("x", "1")
		time.Sleep(20 * time.Second)
		r.del("x")
		time.Sleep(2 * time.Minute)
		wantRequests(t, r, "11s +x=1", "41s -x")
		wantDocs(t, r)
	})
}

func TestBatchesAreCutByCountAndBytes(t *testing.T) {
	for name, opts := range map[string]pipeline.Options{
		"count": {MaxUpserts: 7}, "bytes": {MaxBytes: 720 + 20},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, opts)
				var objects []string
				for i := range 100 {
					objects = append(objects, fmt.Sprintf("o%03d", i), "1")
				}
				r.list(objects...)
				time.Sleep(time.Minute)
				most := 0
				for _, line := range r.rcv.requests() {
					most = max(most, strings.Count(line, "+"))
				}
				if most != 7 || len(r.rcv.documents()) != 100 {
					t.Errorf("largest request has %d upserts, want 7; %d documents, want 100", most, len(r.rcv.documents()))
				}
				if r.rcv.most > 2 {
					t.Errorf("%d requests at once, want at most 2", r.rcv.most)
				}
			})
		})
	}
}

func TestAFullBatchDoesNotWaitForTheFlush(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 2, FlushInterval: time.Hour})
		r.list()
		r.put("x", "1")
		r.put("y", "1")
		r.put("z", "1")
		time.Sleep(time.Minute)
		wantRequests(t, r, "10s +x=1 +y=1")
	})
}

func TestLiveChangesGoBeforeBulk(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 1, Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Millisecond})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 2 * time.Second; return a }
		var objects []string
		for i := range 50 {
			objects = append(objects, fmt.Sprintf("o%03d", i), "1")
		}
		r.list(objects...)
		r.put("live", "1")
		time.Sleep(5 * time.Second)
		if got := r.rcv.documents()[id("live")]; got != "1" {
			t.Errorf("the live change waits behind the first sync: %v", r.rcv.requests())
		}
	})
}

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
				want := "# HELP k8s_vectordb_sync_quarantined_object 1 for each object that the receiver refuses, by name; the first hundred.\n" +
					"# TYPE k8s_vectordb_sync_quarantined_object gauge\n" +
					"k8s_vectordb_sync_quarantined_object{id=\"a/v1/Pod/poison\",target=\"t\"} 1\n"
				if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "k8s_vectordb_sync_quarantined_object"); err != nil {
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
				if n, _ := testutil.GatherAndCount(reg, "k8s_vectordb_sync_quarantined_object"); n != 0 {
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
		if n := len(r.rcv.requests()); n > 60 {
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

func TestTheLastWordIsRepeatedAfterAnUnknownOutcome(t *testing.T) {
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
				r.rcv.decide = func(n int, _ delivery.Request) answer {
					if n == 0 {
						return answer{outcome: wire.Outcome{Kind: wire.Unknown, Reason: "timeout"}, took: time.Second, late: tt.late}
					}
					return delivered
				}
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

func TestAResyncOffersEverythingAndWaitsForItsArrival(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 2})
		r.list("x", "1", "y", "1", "z", "1")
		time.Sleep(time.Minute)
		ticket := pipeline.NewTicket()
		for _, name := range []string{"x", "y", "z"} {
			r.p.Offer(pods, record(name, "1", 1), ticket)
		}
		ticket.Close()
		r.p.FlushBulk()
		<-ticket.Arrived()
		if total, open := ticket.Count(); total != 3 || open != 0 {
			t.Errorf("ticket: %d of %d open", open, total)
		}
		if got := r.p.Stats().Totals.Upserts; got != 6 {
			t.Errorf("%d upserts, want 6: all twice", got)
		}
	})
}

func TestAnOfferNeverOverwritesANewerState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		r.list("x", "1")
		time.Sleep(time.Minute)
		r.put("x", "2")
		ticket := pipeline.NewTicket()
		if r.index.IfCurrent(pods, record("x", "1", 1), func() { r.p.Offer(pods, record("x", "1", 1), ticket) }) {
			t.Error("an outdated state passes for current")
		}
		r.p.Offer(pods, record("x", "1", 1), ticket) // even when the caller is careless
		ticket.Close()
		<-ticket.Arrived()
		wantDocs(t, r, "x", "2")
	})
}

func TestBodiesOverTheCapAreGivenUpAndFilledAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxBodyBytes: 1000, MaxUpserts: 5, FlushInterval: time.Second})
		var objects []string
		for i := range 100 {
			objects = append(objects, fmt.Sprintf("o%03d", i), strings.Repeat("x", 100))
		}
		r.list(objects...)
		if s := r.p.Stats(); s.BodyBytes > 1100 || s.Hollow == 0 || s.Dirty != 100 {
			t.Errorf("%+v", s)
		}
		time.Sleep(10 * time.Second)
		for len(r.p.Hollow()) > 0 {
			for i := range 100 {
				if err := r.p.Room(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.p.Fill(pods, record(fmt.Sprintf("o%03d", i), strings.Repeat("x", 100), 1))
				if s := r.p.Stats(); s.BodyBytes > 1100 {
					t.Fatalf("%+v", s)
				}
			}
		}
		time.Sleep(10 * time.Second)
		if n := len(r.rcv.documents()); n != 100 {
			t.Errorf("%d documents: %+v", n, r.p.Stats())
		}
	})
}

// owner owns what it was told last.
type owner struct {
	ours atomic.Pointer[func(resource.ID) bool]
}

func owning(f func(resource.ID) bool) *owner {
	o := &owner{}
	o.set(f)
	return o
}

func (o *owner) set(f func(resource.ID) bool) { o.ours.Store(&f) }
func (o *owner) MaySend(id resource.ID) bool  { return (*o.ours.Load())(id) }

func TestWhatIsNotOursIsParkedUntilItBecomesOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(func(resource.ID) bool { return false })
		r := newRig(t, pipeline.Options{Owner: o})
		r.list("x", "1")
		r.put("y", "1")
		r.del("z")
		time.Sleep(time.Minute)
		wantRequests(t, r)
		if s := r.p.Stats(); s.Parked != 3 || s.Dirty != 0 {
			t.Errorf("%+v", s)
		}
		o.set(func(resource.ID) bool { return true })
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		wantDocs(t, r, "x", "1", "y", "1")
		if s := r.p.Stats(); s.Parked != 0 || s.Totals.Deletes != 1 {
			t.Errorf("%+v", s)
		}
	})
}

func TestDrainWaitsForTheRequestsOfWhatIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(func(resource.ID) bool { return true })
		r := newRig(t, pipeline.Options{Owner: o})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 30 * time.Second; return a }
		r.list("x", "1")
		time.Sleep(10 * time.Second)
		o.set(func(id resource.ID) bool { return !strings.HasSuffix(string(id), "x") })
		lost := r.p.Drain(func(i resource.ID) bool { return i == id("x") })
		other := r.p.Drain(func(i resource.ID) bool { return i == id("y") })
		<-other
		began := time.Now()
		<-lost
		if d := time.Since(began); d != 25*time.Second {
			t.Errorf("drained after %v, want when the request ended, 25 s", d)
		}
	})
}

// TestConvergence is the model test. A random script of changes, deletes and recreations runs against a receiver that
// fails in every way there is, also by applying a request long after its client has gone. Invariants: an ID is in one
// request at a time and in one array (checked by the receiver); when faults and changes have ended, the receiver
// equals the cluster; what is refused for good, and only that, is quarantined; nothing stays dirty.
func TestConvergence(t *testing.T) {
	for seed := range uint64(150) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { converge(t, seed) })
		})
	}
}

func converge(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 3))
	r := newRig(t, pipeline.Options{
		Debounce: 2 * time.Second, MaxWait: 8 * time.Second, FlushInterval: time.Second, MaxUpserts: 5, MaxDeletes: 3,
		Settle: time.Minute, MaxBodyBytes: 1 << 20,
	})
	faultsEnd := time.Now().Add(3 * time.Minute)
	faulty := rand.New(rand.NewPCG(seed, 4))
	r.rcv.decide = func(_ int, req delivery.Request) answer {
		if time.Now().After(faultsEnd) || faulty.IntN(100) < 60 {
			a := delivered
			a.took = time.Duration(faulty.IntN(3000)) * time.Millisecond
			return a
		}
		took := time.Duration(faulty.IntN(5000)) * time.Millisecond
		n := len(req.Upserts) + len(req.Deletes)
		switch faulty.IntN(7) {
		case 0:
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}, took: took}
		case 1:
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 429, RetryAfter: 2 * time.Second}, took: took}
		case 2:
			return answer{outcome: wire.Outcome{Kind: wire.ServerError, Status: 500}, took: took}
		case 3:
			return answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: took, late: time.Duration(1+faulty.IntN(150)) * time.Second}
		case 4:
			return answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: took, apply: faulty.IntN(2) == 0}
		case 5:
			return answer{outcome: wire.Outcome{Kind: wire.Partial, Status: 400, Failed: []wire.ItemError{{Index: faulty.IntN(n)}}}, apply: true, took: took}
		default:
			return answer{outcome: wire.Outcome{Kind: wire.Retry}, took: took}
		}
	}
	cluster := map[string]string{}
	r.list("o1", "0", "o2", "0", "o3", "0")
	cluster["o1"], cluster["o2"], cluster["o3"] = "0", "0", "0"
	for i := range 600 {
		name := fmt.Sprint("o", rnd.IntN(30))
		if _, ok := cluster[name]; ok && rnd.IntN(4) == 0 {
			delete(cluster, name)
			r.del(name)
		} else {
			cluster[name] = fmt.Sprint(rnd.IntN(4), "#", i/100)
			r.put(name, cluster[name])
		}
		time.Sleep(time.Duration(rnd.IntN(600)) * time.Millisecond)
	}
	time.Sleep(time.Until(faultsEnd) + 12*time.Minute)
	want := map[resource.ID]resource.Body{}
	for name, body := range cluster {
		want[id(name)] = resource.Body(body)
	}
	if diff := cmp.Diff(want, r.rcv.documents()); diff != "" {
		t.Errorf("seed %d: receiver (-want +got):\n%s\n%+v", seed, diff, r.p.Stats())
	}
	if s := r.p.Stats(); s.Dirty != 0 || s.Unsettled != 0 || s.Quarantined != 0 || s.BodyBytes != 0 {
		t.Errorf("seed %d: not at rest: %+v", seed, s)
	}
}
