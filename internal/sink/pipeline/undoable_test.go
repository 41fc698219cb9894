package pipeline_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// A request of unknown outcome carries an object that is then deleted. The deletion is acknowledged, and the
// receiver may still apply the older request. If the member ends at this moment, its successor has to repeat the
// deletion. So the deletion is kept as a tombstone, and named as delivered only when no request can undo it.
func TestADeletionThatAnOlderRequestMayUndoIsKeptUntilItIsSure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var named atomic.Int64
		r := newRig(t, pipeline.Options{Settle: time.Minute, Delivered: func(resource.ID, pipeline.State) { named.Add(1) }})
		r.rcv.decide = answering(answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second, apply: true, late: 70 * time.Second})
		r.list()
		r.put("x", "1")
		time.Sleep(20 * time.Second) // The request has ended without an answer.
		r.del("x")
		time.Sleep(10 * time.Second)
		if all := r.p.Tombstones(); len(all) != 1 || !all[0].Undoable || all[0].ID != id("x") {
			t.Errorf("tombstones of a deletion that may be undone: %+v", all)
		}
		time.Sleep(2 * time.Minute)
		if len(r.rcv.documents()) > 0 || named.Load() > 0 {
			t.Errorf("the receiver has %v; named as delivered %d times while it may be undone", r.rcv.documents(), named.Load())
		}
		time.Sleep(10 * time.Minute)
		if all := r.p.Tombstones(); len(all) > 0 || named.Load() != 1 {
			t.Errorf("at the end %+v are kept, and it was named %d times", all, named.Load())
		}
	})
}

// A parked object becomes ours, and changes before the pipeline has looked: its former owner's doubt stays with
// it.
func TestAnObjectThatChangesInTheMomentItBecomesOursIsInDoubtAsBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(nobody)
		var left atomic.Bool
		r := newRig(t, pipeline.Options{Owner: o, Settle: time.Minute, Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
			return pipeline.Doubt{ID: i, Overwritable: true}, left.Load()
		}})
		r.list("x", "1")
		r.del("x")
		left.Store(true) // Its former owner leaves, which writes the doubt down.
		o.set(anybody)
		r.found("x", 150, 160)
		r.p.MaySendChanged()
		time.Sleep(10 * time.Minute)
		if n := len(r.rcv.requests()); n < 2 {
			t.Errorf("its deletion was said %d times, want the last word repeated: %v", n, r.rcv.requests())
		}
	})
}

// TestGained_OfWhatWeWatchOurselves_DoubtOfTheOtherMemberIsTaken: we keep a deleted object, because a request of ours
// was not answered. Meanwhile another member owned it, sent a state of it, and left in doubt about that. Our own
// request can do no harm, but the other can.
func TestGained_OfWhatWeWatchOurselves_DoubtOfTheOtherMemberIsTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(anybody)
		var left atomic.Bool
		r := newRig(t, pipeline.Options{Owner: o, Settle: time.Minute, Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
			return pipeline.Doubt{ID: i, Version: 150, Overwritable: true}, left.Load()
		}})
		r.rcv.decide = answering(answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second, apply: true})
		r.found("x", 90, 100)
		time.Sleep(20 * time.Second)
		o.set(nobody)
		r.p.MaySendChanged()
		left.Store(true)
		before := len(r.rcv.requests())
		o.set(anybody)
		r.p.Gained(match(anybody))
		r.p.MaySendChanged()
		r.found("x", 150, 160)
		time.Sleep(10 * time.Minute)
		if n := len(r.rcv.requests()) - before; n < 2 {
			t.Errorf("its deletion was said %d times, want the last word repeated: %v", n, r.rcv.requests())
		}
	})
}

// A request of ours was under way for an object, and one of the member that owned it meanwhile may have been.
func TestGained_InDoubtByOurOwnRequest_LastWordIsRepeatedEachTime(t *testing.T) {
	for name, others := range map[string]bool{"the other member tells of no doubt": false, "of a doubt": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(anybody)
				r := newRig(t, pipeline.Options{Owner: o, Settle: time.Minute, Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
					return pipeline.Doubt{ID: i, Version: 1, Acknowledged: true, Overwritable: true}, others && o.MaySend(pods, i)
				}})
				r.rcv.decide = answering(answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second, apply: true})
				r.put("x", "1")
				time.Sleep(20 * time.Second)
				r.put("x", "2")
				time.Sleep(20 * time.Second)
				o.set(nobody)
				r.p.MaySendChanged()
				o.set(anybody)
				r.p.Gained(match(anybody))
				r.p.MaySendChanged()
				before := len(r.rcv.requests())
				time.Sleep(10 * time.Minute)
				if n := len(r.rcv.requests()) - before; n < 5 {
					t.Errorf("its last word was repeated %d times, want 5 at least: %v", n, r.rcv.requests())
				}
			})
		})
	}
}

// A request of ours for an object is unanswered. The object goes to another member, and comes back with that member's
// doubt. Its third owner has delivered it, and knows of no doubt: it reads of ours in our checkpoint.
func TestInDoubt_AnotherMemberWasToo_OwnDoubtIsReportedAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(anybody)
		var others atomic.Bool
		r := newRig(t, pipeline.Options{
			Owner: o, Settle: time.Minute,
			Covers: coversAll,
			Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
				return pipeline.Doubt{ID: i, Version: 1, Acknowledged: true, Overwritable: true}, others.Load()
			},
		})
		r.rcv.decide = answering(answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second, apply: true})
		own := func(who func(resource.ID) bool) {
			o.set(who)
			r.p.MaySendChanged()
			time.Sleep(time.Second)
		}
		r.put("x", "1")
		time.Sleep(20 * time.Second)
		own(nobody)
		r.put("x", "2")
		others.Store(true)
		own(anybody)
		time.Sleep(20 * time.Second)
		own(nobody)
		r.put("x", "3")
		others.Store(false)
		r.p.ForgetCovered(nil, nil)
		told, _ := r.p.Unacknowledged(match(nobody))
		if u := told[pods]; len(u.Doubtful) != 1 || u.Doubtful[0].ID != id("x") {
			t.Errorf("what is said: %+v, want a doubt", u)
		}
	})
}

// The owner of a parked object has delivered it, and an older request of the owner may still be applied. If the
// owner gives the object to us before that is over, no other member repeats the last word.
func TestParked_OwnerIsInDoubt_StaysParked(t *testing.T) {
	for name, listed := range map[string]bool{"it changed while we watched": false, "it was there when we came": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(nobody)
				var sure atomic.Bool
				r := newRig(t, pipeline.Options{
					Owner: o, Settle: time.Minute,
					Covers: coversAll,
					Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
						return pipeline.Doubt{ID: i, Version: 101, Acknowledged: true, Overwritable: true}, !sure.Load()
					},
				})
				if listed {
					r.list("x", "1")
				} else {
					r.list()
					r.put("x", "1")
				}
				r.p.ForgetCovered(nil, nil)
				if s := r.p.Stats(); s.Parked != 1 {
					t.Fatalf("%d are parked", s.Parked)
				}
				if _, all := r.p.Unacknowledged(match(nobody)); len(all[pods].IDs) > 0 {
					t.Errorf("what is delivered counts as not acknowledged: %+v", all)
				}
				o.set(anybody)
				r.p.MaySendChanged()
				time.Sleep(10 * time.Minute)
				if got := r.rcv.requests(); len(got) == 0 {
					t.Error("its last word is not repeated")
				}
				o.set(nobody)
				r.put("x", "2")
				sure.Store(true)
				r.p.ForgetCovered(nil, nil)
				if s := r.p.Stats(); s.Parked != 0 {
					t.Errorf("%d are parked that nobody is in doubt about", s.Parked)
				}
			})
		})
	}
}

// givenAwayInFlight returns a rig whose object x was given to another member while a request of unknown outcome carried
// it, 20 s ago.
func givenAwayInFlight(t *testing.T, opts pipeline.Options) *rig {
	t.Helper()
	o := owning(anybody)
	opts.Owner = o
	r := newRig(t, opts)
	r.rcv.decide = func(int, delivery.Request) answer {
		return answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: 10 * time.Second, apply: true, late: time.Minute}
	}
	r.list()
	r.put("x", "1")
	time.Sleep(20 * time.Second) // It is under way.
	o.set(nobody)
	r.p.MaySendChanged()
	time.Sleep(20 * time.Second)
	return r
}

// A request is cancelled when its object is taken from us. The member reports the doubt as long as it knows of
// it. The new owner may read our checkpoint only after we have written the next one, under another claim.
func TestInDoubt_OwnRequestIsCancelledByAHandoff_IsReportedAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := givenAwayInFlight(t, pipeline.Options{Settle: time.Minute})
		own, _ := r.p.Unacknowledged(match(nobody))
		if u := own[pods]; len(u.Doubtful) != 1 || u.Doubtful[0].ID != id("x") || len(u.IDs) > 0 {
			t.Errorf("what is said: %+v, want a doubt and nothing else", u)
		}
	})
}

// TestInDoubt_NewOwnerHasDelivered_IsReportedUntilTheReceiverCannotApplyIt: the new owner says that the receiver has
// the state, and knows of no doubt, because the object has not changed since. It reads of the doubt in our checkpoint
// if the object changes, so the doubt must not go with the parked item.
func TestInDoubt_NewOwnerHasDelivered_IsReportedUntilTheReceiverCannotApplyIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := givenAwayInFlight(t, pipeline.Options{
			Settle: time.Minute, Covers: coversAll,
		})
		r.p.ForgetCovered(nil, nil)
		if own, _ := r.p.Unacknowledged(match(nobody)); len(own[pods].Doubtful) != 1 {
			t.Errorf("what is said once the new owner has delivered it: %+v, want a doubt", own[pods])
		}
		time.Sleep(5 * time.Minute)
		r.p.ForgetCovered(nil, nil)
		if s := r.p.Stats(); s.Parked != 0 {
			t.Errorf("%d are parked after the receiver cannot hold the request any more, want none", s.Parked)
		}
	})
}

// A doubt that we have taken over is reported after its object is given away, too, but not for ever. That holds
// whether its deletion still waits or has been acknowledged.
func TestInDoubt_TakenOverAndGivenAway_IsReportedForAWhile(t *testing.T) {
	for name, arrives := range map[string]bool{"it has not arrived": false, "it is acknowledged": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(anybody)
				var left atomic.Bool
				r := newRig(t, pipeline.Options{
					Owner: o, Settle: time.Minute, Taken: func(resource.Type, resource.ID) bool { return true },
					Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
						return pipeline.Doubt{ID: i, Overwritable: true}, left.Load()
					},
				})
				r.rcv.decide = func(int, delivery.Request) answer {
					if arrives {
						return delivered
					}
					return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}}
				}
				r.list()
				left.Store(true)
				r.found("x", 150, 160)
				left.Store(false) // We have written a checkpoint in its place.
				time.Sleep(10 * time.Second)
				o.set(nobody)
				r.p.MaySendChanged()
				time.Sleep(10 * time.Second)
				own, _ := r.p.Unacknowledged(match(nobody))
				if u := own[pods]; len(u.Doubtful) != 1 || u.Doubtful[0].ID != id("x") || len(u.IDs) > 0 {
					t.Errorf("what is said: %+v, want a doubt and nothing else", u)
				}
				time.Sleep(5 * time.Minute)
				if own, _ := r.p.Unacknowledged(match(nobody)); len(own) > 0 {
					t.Errorf("what is said after all of it must have landed: %+v", own)
				}
			})
		})
	}
}

// A receiver that answers after half a minute holds a request that it never answers for as long, whatever its
// settle time is declared to be. The last word is repeated after that.
func TestPipeline_AnswersTakeLongerThanTheSettleTime_LastWordOutlivesThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Settle: time.Second})
		r.rcv.decide = answering(
			answer{outcome: delivered.outcome, apply: true, took: 30 * time.Second},
			answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second, late: 30 * time.Second},
		)
		r.list()
		r.put("warm", "1")
		time.Sleep(time.Minute)
		r.put("x", "1")
		time.Sleep(20 * time.Second) // The request with the first state has ended without an answer.
		r.put("x", "2")
		time.Sleep(10 * time.Minute)
		if got := string(r.rcv.documents()[id("x")]); got != "2" {
			t.Errorf("the receiver has %q, want the last state; it was sent %v", got, r.rcv.requests())
		}
	})
}

// TestTakeover_DeletionIsFound_DoubtOfTheLivingStateCanUndoIt: a member that left was in doubt about an object's state,
// and named that state. The object is gone from the cluster, so its deletion is found. It has the version of the state
// that the receiver may still apply, after which it happened, and is another state. A deletion that the former owner
// has found itself is the state that it was in doubt about.
func TestTakeover_DeletionIsFound_DoubtOfTheLivingStateCanUndoIt(t *testing.T) {
	for name, tt := range map[string]struct {
		acknowledged bool
		after        uint64
		want         []string
	}{
		"acknowledged":            {acknowledged: true, after: 90, want: []string{"0s -x", "60s -x", "300s -x"}},
		"not acknowledged":        {after: 90, want: []string{"0s -x", "60s -x", "300s -x"}},
		"found by another before": {acknowledged: true, after: 89},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{Settle: time.Minute, Doubtful: func(resource.ID) (pipeline.Doubt, bool) {
					return pipeline.Doubt{Version: 90, Acknowledged: tt.acknowledged}, true
				}})
				r.list()
				r.p.Apply(index.Change{Type: pods, ID: id("x"), Deleted: true, Cause: index.Found, After: tt.after, Record: resource.Record{Namespace: "a", Name: "x", ResourceVersion: 90}})
				time.Sleep(10 * time.Minute)
				wantRequests(t, r, tt.want...)
			})
		})
	}
}

// behindFormerOwner takes x over at version 101. Its former owner is in doubt about a later version.
func behindFormerOwner(t *testing.T, version uint64) *rig {
	o := owning(nobody)
	r := newRig(t, pipeline.Options{Owner: o, Settle: time.Minute, Doubtful: func(resource.ID) (pipeline.Doubt, bool) {
		return pipeline.Doubt{Version: version, Acknowledged: true, Overwritable: true}, true
	}})
	r.list()
	r.put("x", "1")
	time.Sleep(10 * time.Second)
	o.set(anybody)
	r.p.MaySendChanged()
	return r
}

// TestTakeover_WatchIsBehindTheFormerOwner_OlderStateIsNotSent: the former owner is in doubt about a newer state than
// we know. Ours must not overwrite it: no other member would send the newer one again, because it has been delivered.
func TestTakeover_WatchIsBehindTheFormerOwner_OlderStateIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := behindFormerOwner(t, 103)
		time.Sleep(10 * time.Minute)
		r.p.Fill(pods, record("x", "1", 101), false) // from an API server that is behind, too
		r.put("x", "2")                              // at version 102
		time.Sleep(10 * time.Minute)
		wantRequests(t, r)
		if got := r.p.Evicted(); !got[pods] {
			t.Errorf("types with evicted objects are %v, want pods with one that needs an exact list", got)
		}
		r.put("x", "3") // at version 103
		time.Sleep(time.Minute)
		wantDocs(t, r, "x", "3")
	})
}

// TestTakeover_WatchIsBehindTheFormerOwner_AnExactListDecides: after a restore of etcd, no state ever reaches the
// version that the former owner was in doubt about.
func TestTakeover_WatchIsBehindTheFormerOwner_AnExactListDecides(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := behindFormerOwner(t, 9000)
		r.p.Fill(pods, record("x", "1", 101), true)
		time.Sleep(10 * time.Second)
		wantDocs(t, r, "x", "1")
		if got := r.p.Evicted(); len(got) > 0 {
			t.Errorf("types with evicted objects are %v, want none", got)
		}
	})
}
