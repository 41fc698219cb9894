package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func holds(req delivery.Request, name string) bool {
	return slices.ContainsFunc(req.Upserts, func(u wire.Item) bool { return u.Name == name })
}

// TestPipeline_OverloadedForLong_RetriesTheFailed: there are more live changes than the receiver takes, for half
// an hour.
func TestPipeline_OverloadedForLong_RetriesTheFailed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 5, FlushInterval: 100 * time.Millisecond, Debounce: time.Second, MaxWait: time.Second})
		failed := false
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			a := delivered
			a.took = time.Second
			if holds(req, "victim") && !failed {
				failed = true
				a.outcome, a.apply = wire.Outcome{Kind: wire.ServerError, Status: 500}, false
			}
			return a
		}
		r.list()
		r.put("victim", "1")
		for i := range 120 { // 12 changes a second of 400 objects for a receiver that takes 10
			for j := range 6 {
				r.put(fmt.Sprint("o", (i*6+j)%400), fmt.Sprint(i))
			}
			time.Sleep(500 * time.Millisecond)
		}
		if got := r.rcv.documents()[id("victim")]; got == "" {
			t.Errorf("a minute after one failure the object has not been tried again: %+v", r.p.Stats())
		}
	})
}

// TestAMassDeletionHoldsUpNoUpsert has a namespace of 20,000 objects deleted at a receiver that takes a
// second for twenty.
func TestAMassDeletionHoldsUpNoUpsert(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxDeletes: 20, FlushInterval: time.Second, Debounce: time.Second, MaxWait: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = time.Second; return a }
		r.list()
		for i := range 20_000 {
			r.del(fmt.Sprint("gone", i))
		}
		r.put("live", "1")
		time.Sleep(10 * time.Second)
		wantDocs(t, r, "live", "1")
	})
}

// TestBulkIsSentBesideLiveChanges: live changes that fill every request must not keep a first sync from ending.
func TestBulkIsSentBesideLiveChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxUpserts: 5, FlushInterval: 100 * time.Millisecond, Debounce: time.Second, MaxWait: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = time.Second; return a }
		r.list(named(100)...)
		for i := range 240 {
			for j := range 6 {
				r.put(fmt.Sprint("live", (i*6+j)%400), fmt.Sprint(i))
			}
			time.Sleep(500 * time.Millisecond)
		}
		if s := r.p.Stats(); s.First.Done < 100 {
			t.Errorf("after two minutes %d of 100 objects of the first list are there", s.First.Done)
		}
	})
}

// TestAnEvictedChangeGoesOnAsTheChangeThatItIs: a live change that dropped its body to save memory is not put
// behind a first sync when it gets the body back.
func TestAnEvictedChangeGoesOnAsTheChangeThatItIs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		long := strings.Repeat("x", 100)
		r := newRig(t, pipeline.Options{MaxBodyBytes: 1000, MaxUpserts: 1, FlushInterval: 10 * time.Millisecond, Debounce: time.Second, MaxWait: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer { a := delivered; a.took = 10 * time.Second; return a }
		var objects []string
		for i := range 30 {
			objects = append(objects, fmt.Sprintf("o%02d", i), long)
		}
		r.list(objects...)
		r.put("live", long)
		if r.p.Stats().Evicted < 2 {
			t.Fatalf("nothing is evicted: %+v", r.p.Stats())
		}
		r.index.IfCurrent(pods, record("live", long, r.version), func() { r.p.Fill(pods, record("live", long, r.version), false) })
		time.Sleep(40 * time.Second)
		if r.rcv.documents()[id("live")] == "" {
			t.Errorf("the change waits behind the first list: %v", r.rcv.requests())
		}
	})
}

// TestRetriesOfAChangingPoisonObjectDoNotAddUp: each change of a quarantined object is tried, and leaves no
// timer behind. The first retry of one at rest comes after 15 s.
func TestRetriesOfAChangingPoisonObjectDoNotAddUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: time.Second, MaxWait: time.Second, FlushInterval: 100 * time.Millisecond})
		var tries []time.Duration
		began := time.Now()
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			if holds(req, "poison") {
				tries = append(tries, time.Since(began))
				return answer{outcome: wire.Outcome{Kind: wire.ServerError, Status: 500, Reason: "boom"}, took: 10 * time.Millisecond}
			}
			return delivered
		}
		r.list()
		since := func() []time.Duration {
			r.rcv.mu.Lock()
			defer r.rcv.mu.Unlock()
			all := tries
			tries = nil
			return all
		}
		others := func(d time.Duration) { // others pass all the time
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
				r.put("other", fmt.Sprint(time.Now().UnixNano()))
			}
		}
		r.put("poison", "0")
		others(time.Minute)
		if at := since(); firstGapOver(at, 5*time.Second).Round(time.Second) != 15*time.Second {
			t.Errorf("tried at %v: the first retry comes after %v, want 15 s", at, firstGapOver(at, 5*time.Second))
		}
		others(time.Hour)
		since()
		others(time.Hour)
		before := len(since())
		for i := range 360 { // it changes every 10 s for an hour
			r.put("poison", fmt.Sprint(i+1))
			others(10 * time.Second)
		}
		others(time.Hour)
		since()
		others(time.Hour)
		if n := len(since()); n > before+2 {
			t.Errorf("%d retries an hour after 360 changes, want about %d", n, before)
		}
	})
}

func firstGapOver(at []time.Duration, least time.Duration) time.Duration {
	for i := 1; i < len(at); i++ {
		if gap := at[i] - at[i-1]; gap > least {
			return gap
		}
	}
	return 0
}

// TestRetryAfterIsKeptAlways: also for items that failed before.
func TestRetryAfterIsKeptAlways(t *testing.T) {
	for name, o := range map[string]wire.Outcome{
		"503": {Kind: wire.Unknown, Status: 503}, "429": {Kind: wire.Retry, Status: 429}, "500": {Kind: wire.ServerError, Status: 500},
		"partial failure": {Kind: wire.Partial, Status: 400, Failed: []wire.ItemError{{Index: 0}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{FlushInterval: time.Second})
				o.RetryAfter = 5 * time.Minute
				r.rcv.decide = func(int, delivery.Request) answer { return answer{outcome: o, took: 10 * time.Millisecond} }
				r.list("x", "1")
				time.Sleep(time.Minute)
				r.put("x", "2")
				r.del("y")
				time.Sleep(30 * time.Minute)
				if n := len(r.rcv.requests()); n > 8 {
					t.Errorf("%d requests in half an hour to a receiver that asks for five minutes each time", n)
				}
			})
		})
	}
}

// TestAWrongCountIsTheFaultOfItsBody: one object that the receiver leaves out of its count delays no other
// object. That holds also when it is alone and the answer looks like that of a wrong endpoint.
func TestAWrongCountIsTheFaultOfItsBody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{FlushInterval: time.Second, Debounce: time.Second, MaxWait: time.Second})
		r.rcv.decide = func(_ int, req delivery.Request) answer {
			switch {
			case !holds(req, "odd"):
				return delivered
			case len(req.Upserts) == 1:
				return answer{outcome: wire.Outcome{Kind: wire.WrongEndpoint, Status: 200, Reason: "counts 0 of 1"}}
			default:
				return answer{outcome: wire.Outcome{Kind: wire.Miscounted, Status: 200, Reason: "counts one less"}}
			}
		}
		r.list("odd", "1", "even", "1")
		time.Sleep(time.Minute)
		for i := range 60 {
			r.put(fmt.Sprint("o", i), "1")
		}
		until(t, time.Minute, func() bool { return len(r.rcv.documents()) == 61 })
		// An answer like that of a wrong endpoint is followed by up to a minute's pause, and five of them tell.
		until(t, 5*time.Minute, func() bool { return r.p.Stats().Quarantined > 0 })
		if s, q := r.p.Stats(), r.p.Quarantined(0); s.Dirty > 0 || len(q) != 1 || q[0].ID != id("odd") || s.Breaker.Open {
			t.Errorf("quarantined %+v, %+v", q, s)
		}
	})
}

// TestAFenceKeepsLastWords: a fence is no handoff, so no other member repeats a last word that comes due in it.
// The last word of an object in another member's claim is left to that member, which reads of the doubt in our
// checkpoints for as long as the receiver may hold the request.
func TestAFenceKeepsLastWords(t *testing.T) {
	for name, taken := range map[string]bool{"fenced": false, "taken over": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(anybody)
				r := newRig(t, pipeline.Options{Owner: o, Settle: time.Minute, Taken: func(resource.Type, resource.ID) bool { return taken }})
				r.list("x", "1")
				time.Sleep(time.Minute)
				r.rcv.mu.Lock()
				// x=2 is not answered, and is applied three minutes later.
				r.rcv.decide = answering(delivered, answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second, late: 3 * time.Minute})
				r.rcv.mu.Unlock()
				r.put("x", "2")
				time.Sleep(16 * time.Second) // it is under way
				r.put("x", "3")
				time.Sleep(30 * time.Second)
				wantDocs(t, r, "x", "3")
				time.Sleep(20 * time.Second)
				o.set(nobody) // the API server is away
				r.p.MaySendChanged()
				time.Sleep(30 * time.Second)
				if !taken {
					o.set(anybody) // and back; the Lease was never lost
				}
				if own, _ := r.p.Unacknowledged(match(nobody)); len(own[pods].Doubtful) != 1 {
					t.Errorf("what is said after a last word came due in the fence: %+v, want a doubt", own[pods])
				}
				time.Sleep(time.Hour)
				if taken {
					wantDocs(t, r, "x", "2") // A new owner would repeat it; there is none here.
				} else {
					wantDocs(t, r, "x", "3")
				}
				if s := r.p.Stats(); s.Unsettled != 0 {
					t.Errorf("not at rest: %+v", s)
				}
			})
		})
	}
}
