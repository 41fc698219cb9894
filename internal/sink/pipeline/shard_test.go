package pipeline_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

func nobody(resource.ID) bool  { return false }
func anybody(resource.ID) bool { return true }

// coversAll says of each object that its owner has delivered it.
func coversAll(resource.Type, resource.ID, pipeline.State) bool { return true }

func TestPipeline_CoveredOfTheFirstList_IsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Covers: func(_ resource.Type, i resource.ID, _ pipeline.State) bool { return i == id("known") }})
		r.list("known", "1", "new", "1")
		time.Sleep(time.Minute)
		wantRequests(t, r, "5s +new=1")
		r.put("known", "2")
		time.Sleep(time.Minute)
		wantDocs(t, r, "known", "2", "new", "1")
	})
}

func TestAStateThatARelistFindsAgainIsTakenUpByAMemberThatMayNotHaveBeenAlone(t *testing.T) {
	for name, tt := range map[string]struct {
		owner         func(resource.ID) bool
		since         uint64
		gained, again bool
	}{
		"alone all the time":     {owner: anybody},
		"fenced, and still ours": {owner: nobody},
		"another's meanwhile":    {owner: nobody, gained: true, again: true},
		// Our watch was interrupted at 101. It is known that the others gave the object up at 105; the states that they
		// sent until then are not known.
		"ours since, and fenced": {owner: nobody, since: 105, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := owning(tt.owner)
				r := newRig(t, pipeline.Options{
					Owner: o, OwnedSince: func(resource.Type, resource.ID) uint64 { return tt.since },
					Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool { return s.Version <= 101 },
				})
				r.list()
				r.put("x", "1") // version 101
				r.p.ForgetCovered(nil, nil)
				time.Sleep(time.Minute)
				r.version += 10 // another state and back, which no watch here has seen
				r.list("x", "1")
				time.Sleep(time.Minute)
				if parked := r.p.Stats().Parked; (parked == 1) != (name != "alone all the time") {
					t.Errorf("%d parked", parked)
				}
				before := len(r.rcv.requests())
				o.set(anybody)
				if tt.gained {
					r.p.Gained(match(anybody))
				}
				r.p.MaySendChanged()
				time.Sleep(time.Minute)
				if again := len(r.rcv.requests()) - before; (again == 1) != tt.again {
					t.Errorf("sent %d times after the takeover: %v", again, r.rcv.requests())
				}
			})
		})
	}
}

// TestAGapThatBeganBeforeTheTakeoverIsNoProofOfHavingBeenAlone: another member has sent a state that no watch
// here has seen, and crashed before it could send the present one. The present state was the known one here.
func TestAGapThatBeganBeforeTheTakeoverIsNoProofOfHavingBeenAlone(t *testing.T) {
	for since, sent := range map[uint64]int{101: 0, 102: 1} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, pipeline.Options{OwnedSince: func(resource.Type, resource.ID) uint64 { return since }})
			r.list()
			r.put("x", "1") // version 101, the last that was seen
			time.Sleep(time.Minute)
			before := len(r.rcv.requests())
			r.version += 10
			r.list("x", "1")
			time.Sleep(time.Minute)
			if got := len(r.rcv.requests()) - before; got != sent {
				t.Errorf("ours since %d: sent %d times, want %d", since, got, sent)
			}
		})
	}
}

// TestACheckpointDoesNotClaimTheChangeBehindAStatusUpdate has a change whose owner held it at version 104 and was
// about to hand it over. The next owner has just joined and knows the object at version 190, by a status update.
// It must not claim all versions up to 189.
func TestACheckpointDoesNotClaimTheChangeBehindAStatusUpdate(t *testing.T) {
	for name, tt := range map[string]struct {
		acknowledged, want uint64
	}{
		"nothing is known":       {0, 1},
		"others have told":       {100, 101},
		"others know of it, too": {500, 190},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{Owner: owning(nobody), Acknowledged: func(resource.Type, resource.ID) uint64 { return tt.acknowledged }})
				r.version = 189
				r.list("x", "1") // version 190
				if _, all := r.p.Unacknowledged(match(nobody)); all[pods].Version != tt.want {
					t.Errorf("a checkpoint may claim all below %d, want below %d", all[pods].Version, tt.want)
				}
			})
		})
	}
}

// found reports a deletion that no member has watched.
func (r *rig) found(name string, after, at uint64) {
	r.p.Apply(index.Change{Type: pods, ID: id(name), Deleted: true, Cause: index.Found, After: after,
		Record: resource.Record{Namespace: "a", Name: name, ResourceVersion: at}})
}

// TestPipeline_SearchFindsAKnownDeletion_KeepsTheNarrowerRange: a relist finds a deletion, in (150, 171], and a
// search then reports it as one after 120. A checkpoint that reaches 160 must not cover it.
func TestPipeline_SearchFindsAKnownDeletion_KeepsTheNarrowerRange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var asked []pipeline.State
		r := newRig(t, pipeline.Options{Owner: owning(nobody), Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool {
			asked = append(asked, s)
			return false
		}})
		r.list("x", "1")
		r.version = 149
		r.put("y", "1") // version 150, up to which everything was seen
		r.version = 170
		r.list("y", "1") // lacks x, at 171
		r.found("x", 100, 120)
		r.found("z", 100, 120)
		asked = nil
		r.p.ForgetCovered(nil, nil)
		want := []pipeline.State{{Version: 120, Deleted: true}, {Version: 171, Deleted: true}}
		deleted := slices.DeleteFunc(asked, func(s pipeline.State) bool { return !s.Deleted })
		slices.SortFunc(deleted, func(a, b pipeline.State) int { return int(a.Version) - int(b.Version) })
		if diff := cmp.Diff(want, deleted); diff != "" {
			t.Errorf("deletions that wait (-want +got):\n%s", diff)
		}
	})
}

// TestPipeline_SeveralDeletionsAreFound_TheLastCounts: an object came and went more than once while no member
// watched. The first of its deletions is known to be delivered, which says nothing of states that were sent after
// it.
func TestPipeline_SeveralDeletionsAreFound_TheLastCounts(t *testing.T) {
	for name, tt := range map[string]struct {
		told [][2]uint64
		want pipeline.State
	}{
		"as they happened":         {[][2]uint64{{100, 101}, {120, 121}, {140, 141}}, pipeline.State{Version: 141, Deleted: true}},
		"the last one first":       {[][2]uint64{{140, 141}, {100, 101}, {120, 121}}, pipeline.State{Version: 141, Deleted: true}},
		"one seen from far away":   {[][2]uint64{{100, 101}, {90, 141}}, pipeline.State{Version: 101, Deleted: true}},
		"one that follows at once": {[][2]uint64{{100, 101}, {101, 141}}, pipeline.State{Version: 141, Deleted: true}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{Owner: owning(nobody), Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool { return s.Version <= 100 }})
				for _, d := range tt.told {
					r.found("x", d[0], d[1])
				}
				r.p.ForgetCovered(nil, nil)
				want := []pipeline.Tombstone{{Type: pods, ID: id("x"), State: tt.want, Since: time.Now(), Found: true}}
				if diff := cmp.Diff(want, r.p.Tombstones()); diff != "" {
					t.Errorf("deletions (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// TestPipeline_OlderDeletionIsFound_TheDeliveredOneStays: a deletion is delivered, and an earlier request may still
// undo it. Then a search finds an older deletion, which others may name as delivered. Our successor has to repeat the
// last one. A deletion that may have happened later is sent: others may have sent the object in between.
func TestPipeline_OlderDeletionIsFound_TheDeliveredOneStays(t *testing.T) {
	for name, tt := range map[string]struct {
		after, at, want uint64
		sent            int
	}{
		"an older one":                          {after: 100, at: 120, want: 170, sent: 1},
		"one that may have happened later":      {after: 100, at: 180, want: 180, sent: 2},
		"one that certainly has happened later": {after: 175, at: 180, want: 180, sent: 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, pipeline.Options{Settle: time.Minute, Doubtful: func(resource.ID) (pipeline.Doubt, bool) {
					return pipeline.Doubt{Version: 150, Overwritable: true}, true
				}})
				r.version = 149
				r.put("x", "1")
				r.version = 169
				r.del("x") // at version 170
				time.Sleep(10 * time.Second)
				r.found("x", tt.after, tt.at)
				time.Sleep(10 * time.Second)
				var got []pipeline.State
				for _, o := range r.p.Tombstones() {
					if got = append(got, o.State); !o.Undoable {
						t.Error("it is not delivered")
					}
				}
				if diff := cmp.Diff([]pipeline.State{{Version: tt.want, Deleted: true}}, got); diff != "" {
					t.Errorf("named (-want +got):\n%s", diff)
				}
				if n := len(r.rcv.requests()); n != tt.sent {
					t.Errorf("sent %v, want %d deletions", r.rcv.requests(), tt.sent)
				}
			})
		})
	}
}

// TestADeletionThatWasFoundIsNamedApart: a found deletion may lie far back. It must not hold back the reports on
// existing objects. Nor must it be taken for acknowledged because others, who may not know of it, have come
// further.
func TestADeletionThatWasFoundIsNamedApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		told := uint64(0)
		r := newRig(t, pipeline.Options{Owner: owning(nobody), Acknowledged: func(resource.Type, resource.ID) uint64 { return told }})
		r.version = 149
		r.list("y", "1") // version 150
		r.found("x", 40, 150)
		told = 148
		_, all := r.p.Unacknowledged(match(nobody))
		want := pipeline.Unacknowledged{Version: 149, IDs: []resource.ID{id("y")}}
		if diff := cmp.Diff(want, all[pods]); diff != "" {
			t.Errorf("not acknowledged (-want +got):\n%s", diff)
		}
		deletion := []pipeline.Tombstone{{Type: pods, ID: id("x"), State: pipeline.State{Version: 150, Deleted: true}, Since: time.Now(), Found: true}}
		if diff := cmp.Diff(deletion, r.p.Tombstones()); diff != "" {
			t.Errorf("deletions (-want +got):\n%s", diff)
		}
		r.version = 160
		r.put("x", "1") // version 161: it is there again
		_, all = r.p.Unacknowledged(match(nobody))
		if got := all[pods]; len(got.IDs) != 2 || got.Version != 149 {
			t.Errorf("after it is there again: %+v", got)
		}
		if d := r.p.Tombstones(); len(d) > 0 {
			t.Errorf("after it is there again its deletion waits: %v", d)
		}
	})
}

// TestPipeline_PeerReportsDeliveryLate_AcknowledgedRises: an object of a first list changes before any member has
// reported that its first state is delivered. That must not keep the whole type from counting as acknowledged.
func TestPipeline_PeerReportsDeliveryLate_AcknowledgedRises(t *testing.T) {
	bubble(t, func(t *testing.T) {
		told := uint64(0)
		r := newRig(t, pipeline.Options{Owner: owning(nobody), Acknowledged: func(resource.Type, resource.ID) uint64 { return told }})
		r.version = 149
		r.list("x", "1") // version 150
		r.put("x", "2")  // version 151
		for _, tt := range []struct{ told, want uint64 }{{0, 1}, {120, 121}, {100, 121}, {500, 151}} {
			told = tt.told
			if _, all := r.p.Unacknowledged(match(nobody)); all[pods].Version != tt.want {
				t.Errorf("told up to %d: not acknowledged from %d on, want %d", told, all[pods].Version, tt.want)
			}
		}
		// Of a deletion that a relist has shown, in (151, 201], the others may know nothing, however far they report to
		// be.
		r.version = 200
		r.list()
		if _, all := r.p.Unacknowledged(match(nobody)); all[pods].Version != 151 {
			t.Errorf("a deletion is not acknowledged from %d on, want 151, with the change before it", all[pods].Version)
		}
	})
}

func TestParkedChangesAreForgottenOnceTheirOwnerHasDeliveredThem(t *testing.T) {
	bubble(t, func(t *testing.T) {
		covered := uint64(0)
		o := owning(nobody)
		r := newRig(t, pipeline.Options{Owner: o, Covers: func(_ resource.Type, _ resource.ID, s pipeline.State) bool { return s.Version <= covered }})
		r.list()
		r.put("x", "1") // version 101
		r.put("y", "1") // version 102
		r.del("z")      // version 103
		r.p.ForgetCovered(nil, nil)
		if s := r.p.Stats(); s.Parked != 3 {
			t.Fatalf("forgotten without reason: %+v", s)
		}
		covered = 102
		r.p.ForgetCovered(nil, nil)
		o.set(anybody)
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		wantRequests(t, r, "0s -z")
	})
}

func TestTakeover_DebounceHasPassed_SendsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(nobody)
		r := newRig(t, pipeline.Options{Owner: o})
		r.list()
		r.put("x", "1")
		time.Sleep(20 * time.Second)
		o.set(anybody)
		r.p.MaySendChanged()
		time.Sleep(time.Second)
		wantRequests(t, r, "20s +x=1")
	})
}

func TestAParkedChangeThatIsUndoneIsStillSentAfterATakeover(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(nobody)
		r := newRig(t, pipeline.Options{Owner: o})
		r.list("x", "1")
		time.Sleep(time.Minute)
		r.put("x", "2") // its owner may have sent this
		r.put("x", "1") // and died before this
		o.set(anybody)
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		wantDocs(t, r, "x", "1")
	})
}

// TestTakeover_CrashedMemberMayHaveSentAnotherState_RepeatsTheLastWord: an object that has been in one state only
// since the last acknowledgement cannot be overwritten by another, and costs one upsert. The doubt is silent
// until the object changes.
func TestTakeover_CrashedMemberMayHaveSentAnotherState_RepeatsTheLastWord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(nobody)
		r := newRig(t, pipeline.Options{Owner: o, Settle: time.Minute, Repeats: 2})
		r.list()
		r.put("one", "1")
		r.put("two", "1")
		r.put("two", "2")
		r.put("later", "1")
		r.put("sure", "1")
		r.put("sure", "2")
		time.Sleep(20 * time.Second)
		o.set(anybody)
		r.p.Doubt(match(func(i resource.ID) bool { return i != id("sure") }))
		r.p.MaySendChanged()
		time.Sleep(30 * time.Second)
		r.put("later", "2")
		time.Sleep(10 * time.Minute)
		wantRequests(t, r, "20s +later=1 +one=1 +sure=2 +two=2", "65s +later=2", "85s +later=2 +two=2", "150s +later=2 +two=2")
	})
}

func TestUnacknowledgedNamesEverythingThatACheckpointMustNotClaim(t *testing.T) {
	bubble(t, func(t *testing.T) {
		foreign := owning(func(i resource.ID) bool { return i != id("parked") })
		r := newRig(t, pipeline.Options{Owner: foreign, Settle: time.Hour})
		r.list()
		r.rcv.decide = answering(answer{outcome: wire.Outcome{Kind: wire.Unknown}, took: time.Second})
		r.put("doubtful", "1") // 101
		time.Sleep(time.Minute)
		if _, all := r.p.Unacknowledged(match(nobody)); len(all[pods].IDs) != 0 || len(all[pods].Doubtful) != 1 {
			t.Errorf("%+v, want an acknowledged state that is doubted and nothing else", all[pods])
		}
		r.put("doubtful", "2") // 102: the request in doubt may overwrite it
		time.Sleep(time.Minute)
		r.put("done", "1") // 103
		time.Sleep(time.Minute)
		r.put("parked", "1")  // 104
		r.put("waiting", "1") // 105
		r.put("waiting", "2") // 106: the lowest that is not acknowledged stays 105
		_, all := r.p.Unacknowledged(match(nobody))
		got := all[pods]
		if got.Version != 102 || len(got.IDs) != 3 {
			t.Errorf("%+v, want from version 102: doubtful, parked, waiting", got)
		}
		only, _ := r.p.Unacknowledged(match(func(i resource.ID) bool { return i == id("waiting") }))
		want := map[resource.Type]pipeline.Unacknowledged{pods: {
			Version: 105, IDs: []resource.ID{id("waiting")},
			// The doubt is by our own request.
			Doubtful: []pipeline.Doubt{{ID: id("doubtful"), Version: 102, Acknowledged: true, Overwritable: true}},
		}}
		if diff := cmp.Diff(want, only); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAResyncOffersOnlyWhatIsOurs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{Owner: owning(func(i resource.ID) bool { return i == id("ours") })})
		r.list()
		ticket := pipeline.NewTicket()
		r.p.Offer(pods, record("ours", "1", 1), ticket)
		r.p.Offer(pods, record("theirs", "1", 1), ticket)
		ticket.Close()
		r.p.FlushBulk()
		<-ticket.Arrived()
		if total, _ := ticket.Count(); total != 1 || r.p.Stats().Parked != 0 {
			t.Errorf("%d offered, %+v", total, r.p.Stats())
		}
	})
}

// TestTakeover_ObjectIsInDoubt_NextOwnerResumes restarts the process with its checkpoint. Acknowledged objects are
// not sent at once. Those that can be overwritten are repeated after the first settle time and the last. The rest
// is silent until it changes.
func TestTakeover_ObjectIsInDoubt_NextOwnerResumes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		inDoubt := map[resource.ID]pipeline.Doubt{
			id("silent"):      {Version: 101, Acknowledged: true},
			id("later"):       {Version: 102, Acknowledged: true},
			id("overwritten"): {Version: 103, Acknowledged: true, Overwritable: true},
			id("unknown"):     {Version: 104},
			id("changed"):     {Version: 90, Acknowledged: true},
		}
		r := newRig(t, pipeline.Options{
			Settle: time.Minute,
			Covers: func(_ resource.Type, i resource.ID, _ pipeline.State) bool {
				return i == id("silent") || i == id("later")
			},
			Doubtful: func(i resource.ID) (pipeline.Doubt, bool) {
				d, ok := inDoubt[i]
				return d, ok
			},
		})
		r.list("silent", "1", "later", "1", "overwritten", "1", "unknown", "1", "changed", "1")
		time.Sleep(10 * time.Second)
		r.put("later", "2")
		_, all := r.p.Unacknowledged(match(nobody))
		// Later changes count, and the last words that are still to be repeated.
		if u := all[pods]; len(u.IDs) != 3 || len(u.Doubtful) != 5 {
			t.Errorf("it hands on %+v", u)
		}
		time.Sleep(10 * time.Minute)
		wantRequests(t, r, "5s +changed=1 +unknown=1", "25s +later=2", "65s +later=2 +overwritten=1", "70s +changed=1",
			"310s +later=2 +overwritten=1", "315s +changed=1")
	})
}

// TestForgettingLooksAtWhatMayBeCovered: the pipeline does not look at a hundred thousand parked items of one
// type when the checkpoints report news of another.
func TestForgettingLooksAtWhatMayBeCovered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		looked := map[resource.ID]int{}
		covered := uint64(0)
		r := newRig(t, pipeline.Options{Owner: owning(nobody), Covers: func(_ resource.Type, i resource.ID, s pipeline.State) bool {
			looked[i]++
			return s.Version <= covered
		}})
		r.list()
		services := resource.Type{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true}
		r.index.Replace(services, nil, 100)
		for i := range 2500 {
			r.put(fmt.Sprint("o", i), "1")
		}
		r.index.Upsert(services, record("s", "1", 5000))
		r.del("gone") // version 2601
		clear(looked)
		all := func(resource.ID, pipeline.State) bool { return true }
		of := func(typ resource.Type, names bool, some func(resource.ID, pipeline.State) bool) {
			r.p.ForgetCovered(func(t resource.Type, named bool) func(resource.ID, pipeline.State) bool {
				if t != typ || named != names {
					return nil
				}
				return some
			}, nil)
		}
		of(services, false, all)
		if len(looked) != 1 {
			t.Errorf("%d objects were looked at, want the one of the other type", len(looked))
		}
		covered = 2600
		clear(looked)
		of(pods, false, func(i resource.ID, s pipeline.State) bool { return i == id("o7") && s.Version == 108 })
		if s := r.p.Stats(); s.Parked != 2501 || len(looked) != 1 {
			t.Errorf("%d are parked and %d were looked at, want all but the one of the partition", s.Parked, len(looked))
		}
		of(pods, false, all)
		if s := r.p.Stats(); s.Parked != 2 || looked[id("gone")] != 0 {
			t.Errorf("%d are parked, want the service and the deletion", s.Parked)
		}
		covered = 2601
		of(pods, true, all)
		if s := r.p.Stats(); s.Parked != 1 {
			t.Errorf("%d are parked, want the service", s.Parked)
		}
	})
}

// TestForgetCovered_Contested_IsKeptAndSentByTheSuccessor: the member that covers a change may have missed it.
// The number of items that are kept for that is bounded.
func TestForgetCovered_Contested_IsKeptAndSentByTheSuccessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		contested, o := true, owning(nobody)
		disputed := func(resource.Type, resource.ID, pipeline.State) bool { return contested }
		r := newRig(t, pipeline.Options{Owner: o, Covers: coversAll})
		r.list()
		r.put("x", "1")
		r.p.ForgetCovered(nil, disputed)
		time.Sleep(time.Minute)
		if s := r.p.Stats(); s.Parked != 1 {
			t.Fatalf("%d parked, want what is contested", s.Parked)
		}
		o.set(anybody)
		r.p.MaySendChanged()
		time.Sleep(time.Minute)
		wantDocs(t, r, "x", "1")
		o.set(nobody)
		r.put("y", "1")
		contested = false
		r.p.ForgetCovered(nil, disputed)
		if s := r.p.Stats(); s.Parked != 0 {
			t.Errorf("%d parked, want none: all is agreed upon", s.Parked)
		}
		contested = true
		const many = 5000
		for i := range many {
			r.put(fmt.Sprint("o", i), "1")
		}
		r.p.ForgetCovered(nil, disputed)
		if s := r.p.Stats(); s.Parked == 0 || s.Parked >= many {
			t.Errorf("%d of %d parked, want a bounded number", s.Parked, many)
		}
	})
}
