package tombstones_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// peers are the tombstones that other members name.
type peers map[string]checkpoint.List

func (p peers) Lists() map[string]checkpoint.List { return p }

func (p peers) Delivered(name uint64) bool {
	for _, l := range p {
		if _, ok := l.Delivered[name]; ok {
			return true
		}
	}
	return false
}

func tombstone(n int) checkpoint.Tombstone {
	return checkpoint.Tombstone{Type: "pods.v1", ID: resource.ID(fmt.Sprintf("a/v1/Pod/p%05d", n)), Version: uint64(100 + n)}
}

func living(n int) checkpoint.Tombstone {
	o := tombstone(n)
	o.Lives = true
	return o
}

func list(open ...checkpoint.Tombstone) checkpoint.List {
	return checkpoint.List{Open: open, Sum: fmt.Sprint(len(open)), Delivered: map[uint64]struct{}{}}
}

func delivers(of ...checkpoint.Tombstone) checkpoint.List {
	l := list()
	for _, o := range of {
		l.Delivered[o.Name()] = struct{}{}
	}
	return l
}

var start = time.Unix(1000, 0)

func TestTombstones_KeptForLong_AreNamedAsOpen(t *testing.T) {
	t.Parallel()
	ours, found, others, old := tombstone(1), tombstone(2), tombstone(3), tombstone(4)
	kept := []tombstones.Kept{
		{Tombstone: ours, Ours: true, Since: start}, {Tombstone: found, Found: true, Since: start},
		{Tombstone: others, Since: start}, {Tombstone: old, Since: start.Add(-10 * time.Second)},
	}
	for name, tt := range map[string]struct {
		all  bool
		want []checkpoint.Tombstone
	}{
		"while we work":                       {false, []checkpoint.Tombstone{ours, found, old}},
		"when we leave, or give something up": {true, []checkpoint.Tombstone{ours, found, others, old}},
	} {
		open, _, cut := tombstones.New(peers{}).Announce(kept, tt.all, start)
		if diff := cmp.Diff(tt.want, open); diff != "" || len(cut) > 0 {
			t.Errorf("%s: cut %v (-want +got):\n%s", name, cut, diff)
		}
	}
}

func TestTombstones_MoreThanFit_NamesWhatNoListOfThePastShows(t *testing.T) {
	t.Parallel()
	const more = 10
	kept := []tombstones.Kept{{Tombstone: tombstone(0), Found: true, Since: start}, {Tombstone: tombstone(1), Ours: true, Since: start}}
	for i := 2; i < checkpoint.MaxOpen+more; i++ {
		kept = append(kept, tombstones.Kept{Tombstone: tombstone(i), Since: start})
	}
	kept = append(kept, tombstones.Kept{Tombstone: living(checkpoint.MaxOpen + more)})
	open, _, cut := tombstones.New(peers{}).Announce(kept, true, start)
	named := make(map[resource.ID]bool)
	for _, o := range open {
		named[o.ID] = true
		if o.Lives {
			t.Errorf("%s lives, and takes the place of a deletion", o.ID)
		}
	}
	if len(open) != checkpoint.MaxOpen || !named[tombstone(0).ID] || !named[tombstone(1).ID] || len(cut) > 0 {
		t.Errorf("%d are named, cut %v; want %d, with the one that was found and our own", len(open), cut, checkpoint.MaxOpen)
	}
	for i := 2; i < 2+more; i++ {
		if named[tombstone(i).ID] {
			t.Errorf("the deletion at %d is named, and a later one is not", tombstone(i).Version)
		}
	}
	for i := range kept {
		kept[i].Found = !kept[i].Lives
	}
	if _, _, cut := tombstones.New(peers{}).Announce(kept, true, start); !cut["pods.v1"] {
		t.Error("not all that was found is named, and nobody is told")
	}
}

func TestTombstones_OpenAtAPeer_AreTakenUntilDelivered(t *testing.T) {
	t.Parallel()
	waits, taken, exists, known := tombstone(1), tombstone(2), tombstone(3), tombstone(4)
	p := peers{"gone": list(waits, taken, exists, known), "b": delivers(known), "c": list(known)}
	x := tombstones.New(p)
	x.Announce(nil, false, start)
	answers := map[resource.ID]tombstones.Answer{waits.ID: tombstones.Later, taken.ID: tombstones.Taken, exists.ID: tombstones.Settled}
	receive := func() (asked []resource.ID, done map[string]string) {
		done = x.Receive(func(o checkpoint.Tombstone, by string) tombstones.Answer {
			if o == waits && by != "gone" {
				t.Errorf("what gone names comes from %q", by)
			}
			asked = append(asked, o.ID)
			return answers[o.ID]
		}, start)
		return asked, done
	}
	for _, want := range [][]resource.ID{{waits.ID, taken.ID, exists.ID}, {waits.ID, taken.ID}} {
		asked, done := receive()
		if diff := cmp.Diff(want, asked); diff != "" {
			t.Errorf("asked about (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(map[string]string{"c": "1"}, done); diff != "" {
			t.Errorf("done (-want +got):\n%s", diff)
		}
	}
	if x.Due() {
		t.Error("a checkpoint is due before anything that was asked for is delivered")
	}
	x.Deliver(taken.Name(), start)
	if !x.Due() {
		t.Error("a member waits for what is delivered, and no checkpoint is due")
	}
	p["b"] = delivers(known, waits) // its new owner has delivered it
	if asked, done := receive(); len(asked) > 0 || len(done) != 2 {
		t.Errorf("asked about %v, done %v after all are delivered", asked, done)
	}
	_, named, _ := x.Announce(nil, false, start)
	if len(named) != 2 || !x.Delivered(taken.Name()) || !x.Delivered(exists.Name()) || !x.Delivered(waits.Name()) {
		t.Errorf("%d are named as delivered, want what we have delivered, and what exists again", len(named))
	}
}

func TestTombstones_OfOurPredecessor_AreCarriedOn(t *testing.T) {
	t.Parallel()
	waits, done := tombstone(1), tombstone(2)
	left := list(waits)
	left.Delivered = delivers(done).Delivered
	p := peers{}
	x := tombstones.New(p)
	x.Resume(left, start)
	x.Resume(list(tombstone(3)), start) // once
	open, delivered, _ := x.Announce(nil, false, start)
	if diff := cmp.Diff([]checkpoint.Tombstone{waits}, open); diff != "" || len(delivered) != 1 || !x.Delivered(done.Name()) {
		t.Errorf("%v are named as delivered; open (-want +got):\n%s", delivered, diff)
	}
	later := func(checkpoint.Tombstone, string) tombstones.Answer { return tombstones.Later }
	x.Receive(later, start)
	if open, _, _ := x.Announce([]tombstones.Kept{{Tombstone: waits, Found: true}}, false, start); len(open) != 1 {
		t.Errorf("what we keep ourselves by now is named %d times", len(open))
	}
	p["b"] = delivers(waits)
	x.Receive(later, start)
	if open, _, _ := x.Announce(nil, true, start); len(open) > 0 {
		t.Errorf("%v is open after a peer has delivered it", open)
	}
}

// TestCarryOn_ObjectsThatLived_AreNamedAsDeletionsOnceTheyAreGone: our checkpoint tells the sums of an index that
// may never have held the objects that our predecessor names.
func TestCarryOn_ObjectsThatLived_AreNamedAsDeletionsOnceTheyAreGone(t *testing.T) {
	t.Parallel()
	waits, known, gone, heard := living(1), living(2), living(3), living(4)
	p := peers{"b": delivers(heard.Deletion())}
	x := tombstones.New(p)
	x.Resume(list(waits, known, gone, heard, tombstone(5)), start)
	answers := map[resource.ID]tombstones.Answer{waits.ID: tombstones.Later, known.ID: tombstones.Settled, gone.ID: tombstones.Proven}
	judge := func(o checkpoint.Tombstone) tombstones.Answer {
		if answers[o.ID] == tombstones.Later && o != waits {
			t.Errorf("asked about %+v", o)
		}
		return answers[o.ID]
	}
	x.CarryOn(judge, start)
	open, _, _ := x.Announce(nil, false, start)
	if diff := cmp.Diff([]checkpoint.Tombstone{waits, gone.Deletion(), tombstone(5)}, open); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	if !x.Delivered(known.Name()) || !x.Delivered(heard.Name()) || x.Delivered(gone.Name()) {
		t.Error("what we know, or somebody has deleted, is done, and nothing else")
	}
	answers[waits.ID] = tombstones.Proven
	x.CarryOn(judge, start)
	if open, _, _ := x.Announce(nil, false, start); len(open) != 3 || open[0] != waits.Deletion() {
		t.Errorf("named %v after the last one is known to be gone", open)
	}
}

// TestReceive_LivedAndIsDeleted_IsDelivered by the name of the deletion, for which a checkpoint is due.
func TestReceive_LivedAndIsDeleted_IsDelivered(t *testing.T) {
	t.Parallel()
	o := living(1)
	x := tombstones.New(peers{"gone": list(o)})
	take := func(checkpoint.Tombstone, string) tombstones.Answer { return tombstones.Taken }
	if done := x.Receive(take, start); len(done) > 0 {
		t.Errorf("done %v before it is delivered", done)
	}
	x.Deliver(o.Deletion().Name(), start)
	if done := x.Receive(take, start); len(done) != 1 || !x.Due() {
		t.Errorf("done %v, due %v after it is delivered", done, x.Due())
	}
}

// TestAnnounce_WeLeaveAndOthersMayNotKnow_WhatWeSettledIsOpenAgain: a member that left had named an object as living.
// We know it, so there was nothing to do for as long as we stay.
func TestAnnounce_WeLeaveAndOthersMayNotKnow_WhatWeSettledIsOpenAgain(t *testing.T) {
	t.Parallel()
	known, agreed := living(1), living(2)
	x := tombstones.New(peers{"gone": list(known, agreed)})
	done := x.Receive(func(checkpoint.Tombstone, string) tombstones.Answer { return tombstones.Settled }, start)
	if len(done) != 1 || !x.Delivered(known.Name()) {
		t.Fatalf("done %v, want all that we know", done)
	}
	open, delivered, _ := x.Announce([]tombstones.Kept{{Tombstone: known}}, true, start)
	if diff := cmp.Diff([]checkpoint.Tombstone{known}, open); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]uint64{agreed.Name()}, delivered); diff != "" {
		t.Errorf("settled (-want +got):\n%s", diff)
	}
}

func TestTombstones_Delivered_AreNamedForMinutes(t *testing.T) {
	t.Parallel()
	x := tombstones.New(peers{})
	x.Deliver(1, start)
	announce := func(after time.Duration) []uint64 {
		_, names, _ := x.Announce(nil, false, start.Add(after))
		return names
	}
	for _, after := range []time.Duration{0, time.Hour} {
		if got := announce(after); len(got) != 1 {
			t.Errorf("named %v: while nothing is delivered nothing is to be written", got)
		}
	}
	x.Deliver(2, start.Add(time.Minute))
	if diff := cmp.Diff([]uint64{1, 2}, announce(time.Minute)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	x.Deliver(3, start.Add(4*time.Minute))
	if diff := cmp.Diff([]uint64{2, 3}, announce(4*time.Minute)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range uint64(checkpoint.MaxDelivered) {
		if x.Due() != (i > checkpoint.MaxDelivered/4) {
			t.Fatalf("a checkpoint is due: %v, with %d new names", x.Due(), i)
		}
		x.Deliver(10+i, start.Add(5*time.Minute))
	}
	got := announce(5 * time.Minute)
	if len(got) != checkpoint.MaxDelivered || got[0] != 10 || x.Delivered(3) || x.Due() {
		t.Errorf("%d names from %d on, want the latest %d", len(got), got[0], checkpoint.MaxDelivered)
	}
}
