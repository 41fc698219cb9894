package guard_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
)

func TestGuardHoldsBackMoreThanFiftyAndATenth(t *testing.T) {
	for name, tt := range map[string]struct {
		deletions, of int
		want          bool
	}{
		"nothing of nothing":         {0, 0, false},
		"all of a few":               {50, 50, false},
		"one more than a few":        {51, 51, true},
		"fifty of five hundred":      {50, 500, false},
		"a tenth":                    {100, 1000, false},
		"a tenth and one":            {101, 1000, true},
		"a tenth is rounded down":    {101, 1009, true},
		"more than were ever listed": {60, 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			v, err := guard.Compare(question(tt.deletions, "gone", tt.of))
			if got := v.Status == guard.Guarded; err != nil || got != tt.want || v.Missing != tt.deletions {
				t.Errorf("%d of %d: %+v, %v, want that it is held back: %v", tt.deletions, tt.of, v, err, tt.want)
			}
		})
	}
}

// question is about n objects of a kind, of known. Those of namespace "hidden" are not watched, those of "lost" are
// gone for certain, and those of "there" exist.
func question(n int, kind string, known int) guard.Question {
	return guard.Question{
		Known: known,
		Names: func(yield func(guard.Object, error) bool) {
			for i := range n {
				if !yield(guard.Object{Namespace: kind, Name: fmt.Sprint(i)}, nil) {
					return
				}
			}
		},
		Watched: func(o guard.Object) bool { return o.Namespace != "hidden" },
		There:   func(o guard.Object) bool { return o.Namespace == "there" },
		Proven:  func(o guard.Object) bool { return o.Namespace == "lost" },
	}
}

func TestCompare_EachKindOfObject_IsDeletedOnlyIfMissing(t *testing.T) {
	for kind, want := range map[string][3]int{ // missing, deleted, deleted by force
		"there": {0, 0, 0}, "hidden": {0, 0, 0}, "gone": {60, 0, 60}, "lost": {0, 60, 60},
	} {
		q := question(60, kind, 60)
		v, err := guard.Compare(q)
		q.Force = true
		forced, forcedErr := guard.Compare(q)
		got := [3]int{v.Missing, len(v.Deleted), len(forced.Deleted)}
		if err != nil || forcedErr != nil || got != want || v.Limit != 50 || v.Known != 60 || forced.Status != guard.Compared {
			t.Errorf("%s: %+v, forced %+v; want %v", kind, v, forced, want)
		}
	}
	q := question(1, "lost", 1)
	q.Proven = nil
	if v, err := guard.Compare(q); err != nil || v.Missing != 1 || len(v.Deleted) != 1 {
		t.Errorf("without a proof: %+v, %v, want that it is missing", v, err)
	}
}

// TestCompare_GuardHoldsBack_DeletesWhatIsProven keeps the order of the names for both kinds of objects.
func TestCompare_GuardHoldsBack_DeletesWhatIsProven(t *testing.T) {
	q := question(0, "", 120)
	q.Names = func(yield func(guard.Object, error) bool) {
		for i := range 120 {
			if !yield(guard.Object{Namespace: []string{"gone", "lost"}[i%2], Name: fmt.Sprintf("%03d", i)}, nil) {
				return
			}
		}
	}
	v, err := guard.Compare(q)
	lost := func(o guard.Object) bool { return o.Namespace != "lost" }
	if err != nil || v.Status != guard.Guarded || v.Missing != 60 || len(v.Deleted) != 60 || slices.ContainsFunc(v.Deleted, lost) {
		t.Errorf("%+v, %v, want the sixty that are lost, and sixty held back", v, err)
	}
	q.Force = true
	v, err = guard.Compare(q)
	byName := func(a, b guard.Object) int { return strings.Compare(a.Name, b.Name) }
	if err != nil || len(v.Deleted) != 120 || !slices.IsSortedFunc(v.Deleted, byName) {
		t.Errorf("forced: %+v, %v, want all in order", v, err)
	}
}

func TestCompare_NamesFail_SaysNothing(t *testing.T) {
	q, broken := question(0, "", 2), errors.New("broken")
	q.Names = func(yield func(guard.Object, error) bool) {
		_ = yield(guard.Object{Namespace: "gone", Name: "a"}, nil) && yield(guard.Object{}, broken)
	}
	if v, err := guard.Compare(q); !errors.Is(err, broken) || v.Deleted != nil || v.Status != guard.Unknown {
		t.Errorf("%+v, %v, want the error and nothing else", v, err)
	}
}
