package deletions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// history is what an API server held at each version.
type history struct {
	mu    sync.Mutex // guards the fields below
	at    map[uint64][]string
	fail  error
	asked []uint64
	// memory are the deletions after the version forgotten, which the server remembers. If forgotten is 0, it
	// remembers none.
	memory    []watch.Deletion
	forgotten uint64
}

func (h *history) Deletions(_ context.Context, _ resource.Type, after, until uint64, each func(watch.Deletion)) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.forgotten == 0 || after < h.forgotten {
		return watch.ErrExpired
	}
	for _, d := range h.memory {
		if d.Version > after && d.Version <= until {
			each(d)
		}
	}
	return nil
}

func (h *history) Pages(_ context.Context, _ resource.Type, o watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked = append(h.asked, o.Exact)
	if h.fail != nil {
		return 0, h.fail
	}
	names, ok := h.at[o.Exact]
	if !ok {
		return 0, fmt.Errorf("version %d: %w", o.Exact, watch.ErrExpired)
	}
	var rs []resource.Record
	for _, n := range names {
		rs = append(rs, resource.Record{Namespace: "a", Name: n})
	}
	return o.Exact, page(rs)
}

// searching is a search over pods, of which x is left at version 100.
type searching struct {
	search
	index   *index.Index
	history *history
	members []ownership.MemberStatus
	ledger  *checkpoint.Ledger
	deleted []string
	spans   map[string][2]uint64 // the version ranges in which each was deleted
}

func newSearching(versions []uint64, incumbents map[string]string, at map[uint64][]string) *searching {
	s := &searching{history: &history{at: at}, spans: map[string][2]uint64{}, ledger: checkpoint.NewLedger("f", ring.DefaultFormat())}
	x := index.New(nil)
	s.index = x
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 100)
	for member, process := range incumbents {
		s.members = append(s.members, ownership.MemberStatus{Lease: ownership.Lease{Member: member, Incarnation: process + ".1", State: ownership.Live}})
	}
	s.search = newSearch(s.history, x, s.ledger, checkpoint.Past{Versions: map[string][]uint64{"pods.v1": versions}}, incumbents,
		func() []ownership.MemberStatus { return s.members },
		func(t resource.Type, namespace, name string, after, at uint64) bool {
			return x.IfAbsent(t, namespace, name, func() {
				s.deleted = append(s.deleted, name)
				s.spans[name] = [2]uint64{after, at}
			})
		})
	return s
}

func (s *searching) want(t *testing.T, when string, done bool, deleted ...string) {
	t.Helper()
	slices.Sort(s.deleted)
	if diff := cmp.Diff(deleted, s.deleted); diff != "" {
		t.Errorf("%s: deleted (-want +got):\n%s", when, diff)
	}
	if got := s.state(pods); (got != "pending" && got != "held") != done {
		t.Errorf("%s: it is %s; done: want %v", when, got, done)
	}
}

func TestFinder_DeletedMeanwhile_IsFoundInExactLists(t *testing.T) {
	s := newSearching([]uint64{50, 60}, nil, map[uint64][]string{50: {"x", "old", "late"}, 60: {"x", "late"}})
	if done, bound := s.done(pods); done || bound != 50 {
		t.Errorf("done %v, bound %d before the search; want what was true before", done, bound)
	}
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "searched", true, "late", "old")
	if diff := cmp.Diff(map[string][2]uint64{"old": {50, 100}, "late": {60, 100}}, s.spans); diff != "" {
		t.Errorf("when they were deleted (-want +got):\n%s", diff)
	}
	s.Step(t.Context(), time.Unix(1, 0))
	if state := s.state(pods); state != "compared" {
		t.Errorf("it is %s", state)
	}
	if n := len(s.history.asked); n != 2 {
		t.Errorf("asked %d times, want once for each version", n)
	}
}

func TestFinder_CreatedAndDeletedMeanwhile_IsFoundInHistory(t *testing.T) {
	s := newSearching([]uint64{50, 60}, nil, map[uint64][]string{50: {"x", "old"}, 60: {"x", "old"}})
	s.history.forgotten = 50
	s.history.memory = []watch.Deletion{{Namespace: "a", Name: "before", Version: 45}, {Namespace: "a", Name: "old", Version: 70},
		{Namespace: "a", Name: "brief", Version: 80}, {Namespace: "a", Name: "x", Version: 85}, {Namespace: "a", Name: "watched", Version: 101}}
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "remembered", true, "brief", "old")
	if diff := cmp.Diff(map[string][2]uint64{"old": {69, 70}, "brief": {79, 80}}, s.spans); diff != "" {
		t.Errorf("when they were deleted (-want +got):\n%s", diff)
	}
	if state := s.state(pods); state != "replayed" {
		t.Errorf("it is %s", state)
	}
	if len(s.history.asked) > 0 {
		t.Errorf("listed the versions %v, want none: the server remembers everything", s.history.asked)
	}

	s = newSearching([]uint64{50}, nil, map[uint64][]string{50: {"x", "old"}})
	s.history.forgotten = 55
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "not all remembered", true, "old")
}

func TestASearchThatFailsIsTriedAgain(t *testing.T) {
	s := newSearching([]uint64{50}, nil, map[uint64][]string{50: {"gone"}})
	s.history.fail = errors.New("service unavailable")
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "failed", false)
	s.history.fail = nil
	s.Step(t.Context(), time.Unix(5, 0))
	s.want(t, "too early", false)
	s.Step(t.Context(), time.Unix(11, 0))
	s.want(t, "tried again", true, "gone")
}

func TestHistoryThatIsGoneIsSaid(t *testing.T) {
	s := newSearching([]uint64{50}, nil, nil)
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "expired", true)
	if diff := cmp.Diff([]string{"pods.v1"}, s.gone()); diff != "" {
		t.Error(diff)
	}
}

func TestAnIncumbentSparesTheSearch(t *testing.T) {
	s := newSearching([]uint64{50}, map[string]string{"b": "one"}, map[uint64][]string{50: {"gone"}})
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "an incumbent is there", false)
	format := ring.DefaultFormat()
	s.ledger.Set("b/all", checkpoint.Checkpoint{
		Member: "b", View: []string{"b"}, RingFormat: format.String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 100, High: 100}},
	})
	s.Step(t.Context(), time.Unix(10, 0))
	s.want(t, "it has said that all is delivered up to our list", true)
	if len(s.history.asked) > 0 {
		t.Errorf("the API server was asked %d times", len(s.history.asked))
	}
}

// TestFinder_IncumbentLeaves_SearchesFromItsLastCheckpoint has a joiner that waits for the reports of its
// incumbents. Meanwhile an object is created and delivered. The incumbents leave, and the object is deleted while
// no member watches. Only their last checkpoints show it, not the ones with which the joiner began.
func TestFinder_IncumbentLeaves_SearchesFromItsLastCheckpoint(t *testing.T) {
	s := newSearching([]uint64{50}, map[string]string{"b": "one"}, map[uint64][]string{50: {"x"}, 80: {"x", "brief"}, 90: {"x", "stranger"}})
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "an incumbent is there", false)
	s.members = nil
	refused := errors.New("service unavailable")
	s.onRefresh(func() error { return refused })
	s.Step(t.Context(), time.Unix(1, 0))
	s.want(t, "its last words cannot be read", false)
	s.onRefresh(func() error {
		format := ring.DefaultFormat()
		for member, incarnation := range map[string]string{"b": "one.2", "c": "other.1"} {
			high := map[string]uint64{"b": 80, "c": 90}[member]
			s.ledger.Set(member, checkpoint.Checkpoint{
				Member: member, Incarnation: incarnation, View: []string{"b", "c"}, RingFormat: format.String(), Fingerprint: "f",
				Types: map[string]checkpoint.Entry{"pods.v1": {Low: 40, High: high}},
			})
		}
		return nil
	})
	s.Step(t.Context(), time.Unix(2, 0))
	s.want(t, "searched", true, "brief", "stranger") // a member has come after us, and gone
	if diff := cmp.Diff([]uint64{80, 50, 90}, s.history.asked); diff != "" {
		t.Errorf("versions that were listed (-want +got):\n%s", diff)
	}
	if _, bound := s.done(pods); bound != 0 {
		t.Errorf("bound %d after the search", bound)
	}
}

func TestAnIncumbentThatGoesIsReplacedByASearch(t *testing.T) {
	for name, change := range map[string]func(s *searching){
		"it dies":                  func(s *searching) { s.members = nil },
		"another process is there": func(s *searching) { s.members[0].Lease.Incarnation = "two.1" },
	} {
		s := newSearching([]uint64{50}, map[string]string{"b": "one"}, map[uint64][]string{50: {"gone"}})
		s.Step(t.Context(), time.Unix(0, 0))
		s.want(t, name, false)
		change(s)
		s.Step(t.Context(), time.Unix(1, 0))
		s.want(t, name, true, "gone")
	}
	s := newSearching([]uint64{50}, map[string]string{"b": "one"}, map[uint64][]string{50: {"gone"}})
	s.Step(t.Context(), time.Unix(0, 0))
	s.members[0].Lease.Incarnation = "one.2" // Its Lease was lost for a while, but not its knowledge.
	s.Step(t.Context(), time.Unix(239, 0))
	s.want(t, "still patient", false)
	s.Step(t.Context(), time.Unix(241, 0))
	s.want(t, "patience is over", true, "gone")
}

// TestFinder_WatchBeginsAnewMeanwhile_HistoryReachesTheLastList: while the search waits for an incumbent, our
// watch begins anew. The server's memory reports the deletions of that gap, too, and only then may we claim that
// we know every deletion.
func TestFinder_WatchBeginsAnewMeanwhile_HistoryReachesTheLastList(t *testing.T) {
	s := newSearching([]uint64{50}, map[string]string{"b": "one"}, nil)
	s.history.forgotten = 50
	s.history.memory = []watch.Deletion{{Namespace: "a", Name: "before", Version: 70}, {Namespace: "a", Name: "brief", Version: 140}}
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "an incumbent is there", false)
	s.index.Bookmark(pods, 120)
	s.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 150)
	s.members = nil
	s.Step(t.Context(), time.Unix(1, 0))
	s.want(t, "asked", true, "before", "brief")
	if state := s.state(pods); state != "replayed" {
		t.Errorf("it is %s", state)
	}
}

// TestAFirstCheckpointSaysOfDeletionsOnlyWhatIsKnown: it is written before any search.
func TestAFirstCheckpointSaysOfDeletionsOnlyWhatIsKnown(t *testing.T) {
	past := checkpoint.Past{Versions: map[string][]uint64{"nodes.v1": {50, 70}}}
	x := index.New(nil)
	s := newSearch(&history{}, x, checkpoint.NewLedger("f", ring.DefaultFormat()), past, nil, func() []ownership.MemberStatus { return nil }, nil)
	x.Replace(pods, nil, 100)
	x.Replace(resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}, nil, 90)
	for what, want := range map[string]struct {
		typ   string
		done  bool
		bound uint64
	}{
		"nobody has spoken of it before": {"pods", true, 0},
		"others have, up to where":       {"nodes", false, 50},
		"it has not even been listed":    {"secrets", false, 0},
	} {
		if done, bound := s.done(resource.Type{Version: "v1", Resource: want.typ}); done != want.done || bound != want.bound {
			t.Errorf("%s: all deletions are acknowledged: %v, or up to %d; want %v, %d", what, done, bound, want.done, want.bound)
		}
	}
	x.Replace(pods, nil, 120)
	x.Bookmark(pods, 130)
	x.Replace(pods, nil, 140)
	if done, bound := s.done(pods); done || bound != 100 {
		t.Errorf("after gaps all deletions are acknowledged: %v, or up to %d; want up to the first list, 100", done, bound)
	}
}

// TestAGapStaysOpenUntilThePeersHaveSpoken: a peer began when we did, and has a checkpoint of an earlier process
// only. It leaves, and its last checkpoint names an object that it delivered before our first list, and that was
// deleted when it had stopped watching.
func TestAGapStaysOpenUntilThePeersHaveSpoken(t *testing.T) {
	s := newSearching([]uint64{50}, nil, map[uint64][]string{50: {"x"}, 90: {"x", "brief"}})
	says := func(incarnation string, high uint64) {
		s.ledger.Set("b", checkpoint.Checkpoint{
			Member: "b", Incarnation: incarnation, View: []string{"b", "c"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Types: map[string]checkpoint.Entry{"pods.v1": {Low: 40, High: high}},
		})
	}
	s.members = []ownership.MemberStatus{{Lease: ownership.Lease{Member: "b", Incarnation: "new.1", State: ownership.Live}}}
	says("old.1", 45)
	s.Step(t.Context(), time.Unix(0, 0))
	if _, bound := s.done(pods); bound != 50 {
		t.Errorf("of deletions our word ends at %d, want 50: the peers have said nothing", bound)
	}
	says("new.1", 90)
	s.members = nil
	s.Step(t.Context(), time.Unix(1, 0))
	s.want(t, "its last word is in the gap", true, "brief")
	if _, bound := s.done(pods); bound != 0 {
		t.Errorf("nobody is left who could speak, and our word of deletions ends at %d", bound)
	}
}

// TestAGapIsLookedIntoByTheLastWordsOfThoseWhoAreGone: our watch has begun anew, and we do not know an object that
// was created and deleted meanwhile. Another member saw the creation and delivered the object, and was gone before
// the deletion.
func TestAGapIsLookedIntoByTheLastWordsOfThoseWhoAreGone(t *testing.T) {
	s := newSearching([]uint64{50}, nil, map[uint64][]string{50: {"x"}, 130: {"x", "brief"}, 145: {"x", "other"}})
	s.Step(t.Context(), time.Unix(0, 0))
	s.want(t, "there is no gap", true)
	says := func(member string, high uint64) {
		s.ledger.Set(member, checkpoint.Checkpoint{
			Member: member, Incarnation: member + ".1", View: []string{"b", "c"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Types: map[string]checkpoint.Entry{"pods.v1": {Low: 40, High: high}},
		})
	}
	says("gone", 90) // before the gap
	s.members = append(s.members, ownership.MemberStatus{Lease: ownership.Lease{Member: "here", Incarnation: "here.1", State: ownership.Live}})
	says("here", 145)
	s.index.Bookmark(pods, 120)
	relist := func(version uint64) {
		s.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, version)
	}
	relist(135)
	relist(150) // twice since our last look, which was at 100
	s.history.asked = nil
	if _, bound := s.done(pods); bound != 100 {
		t.Errorf("of deletions our word ends at %d, want where we looked last", bound)
	}
	s.Step(t.Context(), time.Unix(1, 0))
	s.want(t, "a peer that is there answers for what it has seen", true)
	s.index.Bookmark(pods, 160)
	s.Step(t.Context(), time.Unix(1, 0))
	relist(160)
	if _, bound := s.done(pods); bound != 100 {
		t.Errorf("of deletions our word ends at %d after a list that has shown nothing new, want where it ended before", bound)
	}
	says("gone", 130)
	s.Step(t.Context(), time.Unix(2, 0))
	s.want(t, "somebody has left in the gap", true, "brief")
	says("here", 150)
	s.Step(t.Context(), time.Unix(3, 0))
	if diff := cmp.Diff([]uint64{130}, s.history.asked); diff != "" {
		t.Errorf("versions that were listed (-want +got):\n%s", diff)
	}
	if _, bound := s.done(pods); bound != 0 {
		t.Errorf("all others have given a word from after the gap, and ours of deletions ends at %d", bound)
	}
}
