package deletions_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// TestGap_WatchBeginsAnew_IsOpenUntilItHasBeenLookedInto walks along every arrow that [deletions.GapState] draws.
func TestGap_WatchBeginsAnew_IsOpenUntilItHasBeenLookedInto(t *testing.T) {
	s := newSearching([]uint64{50}, nil, map[uint64][]string{50: {"x"}, 130: {"x", "brief"}})
	at := func(second int64) { s.Step(t.Context(), time.Unix(second, 0)) }
	gap := func(what, state string, after, since uint64) {
		t.Helper()
		if _, g, _ := s.Inspect(pods); g.State.String() != state || g.After != after || g.Since != since {
			t.Errorf("%s: the gap is %s, from %d to %d; want %s, from %d to %d", what, g.State, g.After, g.Since, state, after, since)
		}
	}
	says := func(member string, high uint64) {
		s.ledger.Set(member, checkpoint.Checkpoint{
			Member: member, Incarnation: member + ".1", View: []string{"b", "c"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Types: map[string]checkpoint.Entry{"pods.v1": {Low: 40, High: high}},
		})
	}
	relist := func(version uint64) {
		s.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, version)
	}

	s.members = []ownership.MemberStatus{{Lease: ownership.Lease{Member: "here", Incarnation: "here.1", State: ownership.Live}}}
	at(0)
	gap("before our first list, and a peer has said nothing", "open", 50, 100)
	says("here", 100)
	at(1)
	gap("the peer has written from after it", "closed", 0, 0)

	says("gone", 130)
	relist(150)
	s.history.fail = errors.New("no answer")
	at(2)
	gap("the API server does not answer", "resting", 100, 150)
	asked := len(s.history.asked)
	s.index.Bookmark(pods, 160)
	relist(170)
	at(11)
	gap("the watch begins anew meanwhile", "resting", 100, 170)
	if len(s.history.asked) != asked {
		t.Error("the API server was asked while the gap rested")
	}
	s.history.fail = nil
	at(12)
	gap("it answers, and the peer has not said more", "open", 100, 170)
	s.want(t, "looked into", true, "brief")
	relist(180)
	at(13)
	gap("the watch begins anew once more", "open", 100, 180)
	says("here", 180)
	at(14)
	gap("the peer has written from after it all", "closed", 0, 0)

	relist(200)
	at(15)
	gap("and again", "open", 180, 200)
	relist(90)
	s.done(pods) // a checkpoint is written
	gap("etcd was restored from a backup", "closed", 0, 0)
	relist(120)
	s.members = nil
	at(17)
	gap("nobody is left who could write", "closed", 0, 0)
	if state, _, _ := s.Inspect(pods); !state.Done() {
		t.Errorf("the search is %s, want that no gap has begun it again", state)
	}
}

// TestFinder_SeveralGoneMembersKnewAnObject_ReceiverIsToldOnce: each list of the past shows the object again, and a
// deletion that has been delivered would be sent for each of them.
func TestFinder_SeveralGoneMembersKnewAnObject_ReceiverIsToldOnce(t *testing.T) {
	s := newSearching([]uint64{50}, nil, map[uint64][]string{
		50: {"x"}, 120: {"x", "early", "brief"}, 130: {"x", "brief"}, 140: {"x", "brief"},
	})
	s.Step(t.Context(), time.Unix(0, 0))
	for member, high := range map[string]uint64{"one": 120, "two": 130, "three": 140, "four": 140} {
		s.ledger.Set(member, checkpoint.Checkpoint{
			Member: member, Incarnation: member + ".1", View: []string{"b", "c"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Types: map[string]checkpoint.Entry{"pods.v1": {Low: 40, High: high}},
		})
	}
	s.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 150)
	s.history.asked = nil
	s.Step(t.Context(), time.Unix(1, 0))
	s.want(t, "all have left in the gap", true, "brief", "early")
	if diff := cmp.Diff([]uint64{140, 130, 120}, s.history.asked); diff != "" {
		t.Errorf("versions that were listed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][2]uint64{"brief": {140, 150}, "early": {120, 150}}, s.spans); diff != "" {
		t.Errorf("when they were deleted (-want +got):\n%s", diff)
	}
}
