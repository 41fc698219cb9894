package deletions_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// holding is a search whose inventory names sixty pods of two namespaces that are gone.
func holding(t *testing.T, x *index.Index, deleted *int) search {
	t.Helper()
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("%c/m%02d", 'a'+i%2, i))
	}
	s := newSearch(&history{}, x, checkpoint.NewLedger("f", ring.DefaultFormat()),
		checkpoint.Past{Versions: map[string][]uint64{"pods.v1": {50}}}, nil,
		func() []ownership.MemberStatus { return nil },
		func(resource.Type, string, string, uint64, uint64) bool { *deleted++; return true }, remember(written(t, names...), "uid", "ring", x))
	return s
}

func TestForceLetsGoOfWhatTheInventoryHoldsBack(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 100)
	deleted := 0
	s := holding(t, x, &deleted)
	s.Step(t.Context(), time.Unix(0, 0))
	if deleted != 0 || s.held(pods) != 60 {
		t.Fatalf("%d deleted, %d held back, want 60 held back", deleted, s.held(pods))
	}
	for _, tt := range []struct {
		namespace  string
		told, held int
		unknown    bool
	}{{"c", 0, 60, true}, {"a", 30, 30, true}, {"", 60, 0, false}, {"", 0, 0, false}} {
		told, err := s.force(t, tt.namespace)
		if err != nil || told != tt.told || s.held(pods) != tt.held || len(s.gone()) > 0 != tt.unknown {
			t.Errorf("force for namespace %q tells of %d deletions, %v; %d are held back, %v unknown; want %d, %d", tt.namespace, told, err,
				s.held(pods), s.gone(), tt.told, tt.held)
		}
	}
	if done, _ := s.done(pods); !done {
		t.Error("the search is not done")
	}
}

func TestATypeThatIsServedNoLongerIsJudgedByTheInventory(t *testing.T) {
	t.Parallel()
	x := index.New(nil) // knows no pods
	deleted := 0
	s := holding(t, x, &deleted)
	s.Step(t.Context(), time.Unix(0, 0))
	if deleted != 0 || s.held(pods) != 0 {
		t.Fatalf("%d deleted, %d held back before it is known to be gone", deleted, s.held(pods))
	}
	for range 2 {
		s.ConsultGone(pods, time.Unix(1, 0))
	}
	if deleted != 0 || s.held(pods) != 60 {
		t.Errorf("%d deleted, %d held back, want 60: they are more than fifty", deleted, s.held(pods))
	}
	if told, err := s.force(t, ""); told != 60 || err != nil || s.held(pods) != 0 {
		t.Errorf("force tells of %d deletions, %v; %d are held back", told, err, s.held(pods))
	}

	s = newSearch(&history{}, x, checkpoint.NewLedger("f", ring.DefaultFormat()), checkpoint.Past{}, nil,
		func() []ownership.MemberStatus { return nil },
		func(resource.Type, string, string, uint64, uint64) bool { deleted++; return true }, remember(written(t, "a/x", "b/y"), "uid", "ring", x))
	s.ConsultGone(pods, time.Unix(1, 0))
	if deleted != 2 {
		t.Errorf("%d deleted, want both", deleted)
	}
}

func TestATypeThatWentAndThatNothingKnowsIsSaid(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 100)
	past := checkpoint.Past{Versions: map[string][]uint64{"pods.v1": {50}, "widgets.v1.example.com": {50}, "unselected.v1": {50}}}
	s := newSearch(&history{at: map[uint64][]string{50: {"x"}}}, x, checkpoint.NewLedger("f", ring.DefaultFormat()), past, nil,
		func() []ownership.MemberStatus { return nil },
		func(_ resource.Type, namespace, name string, _, _ uint64) bool {
			return x.IfAbsent(pods, namespace, name, func() { t.Error("something is deleted") })
		})
	for range 2 {
		s.Step(t.Context(), time.Unix(0, 0))
	}
	if got := s.gone(); len(got) != 1 || got[0] != "widgets.v1.example.com" {
		t.Errorf("said to be unknown: %v, want the one that is wanted and served no longer", got)
	}
	if _, bound := s.done(resource.Type{Group: "example.com", Version: "v1", Resource: "widgets"}); bound != 0 {
		t.Errorf("checkpoints go on to speak of it, up to %d", bound)
	}
}
