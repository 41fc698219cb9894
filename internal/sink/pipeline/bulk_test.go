package pipeline_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

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
		if s := r.p.Stats(); s.BodyBytes > 1100 || s.Evicted == 0 || s.Dirty != 100 {
			t.Errorf("%+v", s)
		}
		time.Sleep(10 * time.Second)
		for len(r.p.Evicted()) > 0 {
			for i := range 100 {
				if err := r.p.Room(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.p.Fill(pods, record(fmt.Sprintf("o%03d", i), strings.Repeat("x", 100), 1), false)
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

// pump restores the bodies of evicted objects, like a resync engine.
func pump(r *rig, bodies map[string]string) {
	for name, body := range bodies {
		r.index.IfCurrent(pods, record(name, body, 0), func() { r.p.Fill(pods, record(name, body, 0), false) })
	}
}

// TestAnEvictedObjectIsNeverSentWithoutItsBody moves objects without bodies through the places from which objects
// are sent.
func TestAnEvictedObjectIsNeverSentWithoutItsBody(t *testing.T) {
	long := strings.Repeat("x", 100)
	bodies := map[string]string{}
	var objects []string
	for i := range 50 {
		name := fmt.Sprintf("o%02d", i)
		bodies[name] = long
		objects = append(objects, name, long)
	}
	full := func(t *testing.T, r *rig) {
		t.Helper()
		for range 100 {
			time.Sleep(10 * time.Second)
			pump(r, bodies)
		}
		var want []string
		for name, body := range bodies {
			want = append(want, name, body)
		}
		wantDocs(t, r, want...)
		if s := r.p.Stats(); s.Dirty != 0 || s.BodyBytes != 0 || s.Parked != 0 {
			t.Errorf("not at rest: %+v", s)
		}
	}
	t.Run("when it was another member's meanwhile", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			o := owning(func(resource.ID) bool { return true })
			r := newRig(t, pipeline.Options{MaxBodyBytes: 1000, Owner: o})
			r.list(objects...)
			for range 3 {
				o.set(func(resource.ID) bool { return false })
				r.p.MaySendChanged()
				o.set(func(resource.ID) bool { return true })
				r.p.MaySendChanged()
			}
			full(t, r)
		})
	})
	t.Run("when it was quarantined meanwhile", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			r := newRig(t, pipeline.Options{MaxBodyBytes: 8000})
			refuse := true
			r.rcv.decide = func(_ int, req delivery.Request) answer {
				if !refuse {
					return delivered
				}
				var bad []wire.ItemError
				for i := range req.Upserts {
					bad = append(bad, wire.ItemError{Index: i, Reason: "no"})
				}
				return answer{outcome: wire.Outcome{Kind: wire.Refused, Status: 400, Bad: bad}}
			}
			r.list(objects...)
			time.Sleep(time.Minute)
			s := r.p.Stats()
			if s.Quarantined != 50 || s.BodyBytes > 4000 {
				t.Fatalf("want all quarantined, with bodies of less than half of what is allowed: %+v", s)
			}
			wantRoom(t, r)
			r.rcv.mu.Lock()
			refuse = false
			r.rcv.mu.Unlock()
			ticket := pipeline.NewTicket()
			for name, body := range bodies {
				r.p.Offer(pods, record(name, body, 0), ticket)
			}
			ticket.Close()
			r.p.FlushBulk()
			full(t, r)
			<-ticket.Arrived()
		})
	})
}

func TestOffer_AnotherMembersObject_TakesNoRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{MaxBodyBytes: 1000, Owner: owning(func(resource.ID) bool { return false })})
		var objects []string
		for i := range 50 {
			objects = append(objects, fmt.Sprintf("o%02d", i), strings.Repeat("x", 100))
		}
		r.list(objects...)
		if s := r.p.Stats(); s.Parked != 50 || s.BodyBytes > 500 {
			t.Errorf("%+v", s)
		}
		wantRoom(t, r)
	})
}

// wantRoom fails unless there is room for bulk traffic soon: objects that are set aside take no room.
func wantRoom(t *testing.T, r *rig) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := r.p.Room(ctx); err != nil {
		t.Fatalf("%v: %+v", err, r.p.Stats())
	}
}

// TestTicket_NothingIsSentHere_IsDone: a ticket is done when its objects are another member's, and when the
// pipeline has ended. Otherwise a resync under way would never end.
func TestTicket_NothingIsSentHere_IsDone(t *testing.T) {
	for name, end := range map[string]func(*rig, *owner){
		"it became another member's": func(r *rig, o *owner) {
			o.set(func(resource.ID) bool { return false })
			r.p.MaySendChanged()
		},
		"the target is gone": func(r *rig, _ *owner) { r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(func(resource.ID) bool { return true })
				r := newRig(t, pipeline.Options{Owner: o})
				r.rcv.decide = func(int, delivery.Request) answer {
					return answer{outcome: wire.Outcome{Kind: wire.Retry, Reason: "refused"}, took: time.Second}
				}
				r.list("x", "1")
				ticket := pipeline.NewTicket()
				r.p.Offer(pods, record("x", "1", 101), ticket)
				ticket.Close()
				time.Sleep(time.Minute)
				select {
				case <-ticket.Arrived():
					t.Fatal("arrived before it could")
				default:
				}
				end(r, o)
				time.Sleep(time.Minute)
				select {
				case <-ticket.Arrived():
				default:
					t.Error("the ticket stays open")
				}
			})
		})
	}
}

// An object that a resync offers is known to be acknowledged. The successor has to send again only objects that
// have changed since, and those that the operation itself gives to it.
func TestOffer_OfWhatIsAcknowledged_HoldsNoCheckpointBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var down atomic.Bool
		r := newRig(t, pipeline.Options{})
		r.rcv.decide = func(int, delivery.Request) answer {
			if down.Load() {
				return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}}
			}
			return delivered
		}
		r.list("x", "1", "y", "1")
		time.Sleep(time.Minute)
		down.Store(true)
		ticket := pipeline.NewTicket()
		for i, name := range []string{"x", "y"} {
			r.index.IfCurrent(pods, record(name, "1", uint64(101+i)), func() { r.p.Offer(pods, record(name, "1", uint64(101+i)), ticket) })
		}
		r.put("y", "2") // 103
		_, all := r.p.Unacknowledged(match(nobody))
		want := pipeline.Unacknowledged{Version: 103, IDs: []resource.ID{id("y")}}
		if diff := cmp.Diff(want, all[pods]); diff != "" {
			t.Errorf("not acknowledged (-want +got):\n%s", diff)
		}
		if total, open := ticket.Count(); total != 2 || open != 2 {
			t.Errorf("of %d offered objects %d have not arrived, want 2 of 2", total, open)
		}
	})
}

// When a resync offers a parked change in the moment in which its type is taken, it delivers nothing. The change
// holds our checkpoint back from the version at which it began, whatever version the offered state has.
func TestOffer_OfAParkedChange_HoldsTheCheckpointBackAsBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(nobody)
		r := newRig(t, pipeline.Options{Owner: o, Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool { return s.Version <= 101 }})
		r.rcv.decide = func(int, delivery.Request) answer {
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}}
		}
		r.list("x", "1") // 101
		r.put("x", "2")  // 102: its owner has not delivered it
		r.version += 50
		r.put("x", "2") // 153: a status update
		check := func(when string) {
			t.Helper()
			if _, all := r.p.Unacknowledged(match(nobody)); all[pods].Version != 102 || len(all[pods].IDs) != 1 {
				t.Errorf("%s: not acknowledged %+v, want one object from 102 on", when, all[pods])
			}
		}
		check("parked")
		o.set(anybody)
		ticket := pipeline.NewTicket()
		if !r.index.IfCurrent(pods, record("x", "2", 153), func() { r.p.Offer(pods, record("x", "2", 153), ticket) }) {
			t.Fatal("the offered state is not current")
		}
		check("offered")
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		check("taken")
		o.set(nobody)
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		check("given back")
	})
}

// A resync must not believe that an object has arrived because an earlier delivery of it is known. It offers objects
// that are parked, when a fence has ended, or a part has just been taken, and the pipeline has not been told yet.
func TestOffer_OfWhatIsParked_ArrivesOnlyByARequest(t *testing.T) {
	for name, tt := range map[string]struct {
		doubt *pipeline.Doubt // of its former owner
		next  func(r *rig)
	}{
		"covered, as another share is taken up": {next: func(r *rig) { r.p.ForgetCovered(nil, nil); r.p.MaySendChanged() }},
		"in doubt and acknowledged": {
			doubt: &pipeline.Doubt{ID: id("x"), Version: 101, Acknowledged: true}, next: func(r *rig) { r.p.MaySendChanged() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(anybody)
				r := newRig(t, pipeline.Options{
					Owner: o, Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool { return s.Version <= 101 },
					Doubtful: func(resource.ID) (pipeline.Doubt, bool) {
						if tt.doubt == nil {
							return pipeline.Doubt{}, false
						}
						return *tt.doubt, true
					},
				})
				var down atomic.Bool
				r.rcv.decide = func(int, delivery.Request) answer {
					if down.Load() {
						return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}}
					}
					return delivered
				}
				offer := func() *pipeline.Ticket {
					ticket := pipeline.NewTicket()
					r.index.IfCurrent(pods, record("x", "1", 101), func() { r.p.Offer(pods, record("x", "1", 101), ticket) })
					ticket.Close()
					r.p.FlushBulk()
					return ticket
				}
				r.list("x", "1") // 101
				down.Store(true)
				fenced := offer()
				o.set(nobody)
				r.p.MaySendChanged()
				<-fenced.Arrived()
				if fenced.Missed() != 1 || r.p.Stats().Parked != 1 {
					t.Fatalf("%d missed: %+v", fenced.Missed(), r.p.Stats())
				}
				down.Store(false)
				o.set(anybody)
				before := len(r.rcv.requests())
				again := offer()
				tt.next(r)
				<-again.Arrived()
				if sent := r.rcv.requests()[before:]; len(sent) != 1 || again.Missed() != 0 {
					t.Errorf("arrived by the requests %v, %d missed", sent, again.Missed())
				}
			})
		})
	}
}

// A request of a resync that has an unknown outcome is in doubt for as long as any other.
func TestOffer_WithAnUnknownOutcome_IsInDoubtForAsLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Second, Settle: time.Minute})
		r.rcv.decide = answering(delivered, answer{outcome: wire.Outcome{Kind: wire.Unknown, Reason: "timeout"}, took: time.Second, late: 200 * time.Second})
		r.list("x", "old")
		time.Sleep(time.Minute)
		ticket := pipeline.NewTicket()
		r.p.Offer(pods, record("x", "old", 101), ticket)
		ticket.Close()
		r.p.FlushBulk()
		time.Sleep(500 * time.Millisecond)
		r.put("x", "new")
		time.Sleep(10 * time.Minute)
		wantDocs(t, r, "x", "new")
	})
}

// TestOffer_OfWhatIsInFlight_ArrivesByALaterRequest: the receiver may have applied the request in flight, and have been
// emptied since, before somebody asked for the resync.
func TestOffer_OfWhatIsInFlight_ArrivesByALaterRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Debounce: time.Second, MaxWait: time.Second, FlushInterval: time.Second})
		r.rcv.decide = func(int, delivery.Request) answer {
			return answer{outcome: wire.Outcome{Kind: wire.Delivered}, took: 10 * time.Second}
		}
		r.list()
		r.put("x", "1")
		time.Sleep(5 * time.Second) // its request lasts from second 2 to second 12
		ticket := pipeline.NewTicket()
		r.p.Offer(pods, record("x", "1", 101), ticket)
		ticket.Close()
		r.p.FlushBulk()
		time.Sleep(10 * time.Second)
		select {
		case <-ticket.Arrived():
			t.Error("arrived by a request that began before the offer")
		default:
		}
		time.Sleep(time.Minute)
		if _, open := ticket.Count(); open > 0 {
			t.Errorf("%d objects have not arrived", open)
		}
		wantRequests(t, r, "2s +x=1", "12s +x=1")
	})
}
