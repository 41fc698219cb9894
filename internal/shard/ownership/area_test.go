package ownership_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// everywhere are namespaces in, between and outside the bounds of parts.
var everywhere = []string{"", "a", "b", "bb", "c", "d", "zz"}

// TestAreasAreSetsOverObjectsAndPartitions compares areas that were combined at random with the sets that they
// stand for, place by place.
func TestAreasAreSetsOverObjectsAndPartitions(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	type model map[place]bool
	of := func(f func(at place) bool) model {
		m := model{}
		for _, k := range []ownership.Kind{plain, large, small} {
			for _, namespace := range everywhere {
				for p := range 3 {
					at := place{k, namespace, p}
					m[at] = f(at)
				}
			}
		}
		return m
	}
	check := func(a ownership.Area, m model, what string) {
		t.Helper()
		if got := of(func(at place) bool { return a.Has(at.kind, at.namespace, at.partition) }); !cmp.Equal(m, got, cmp.AllowUnexported(place{})) {
			t.Fatalf("%s (-want +got):\n%s", what, cmp.Diff(m, got, cmp.AllowUnexported(place{})))
		}
		if got := !slices.Contains(slices.Collect(valuesOf(m)), true); a.Empty() != got {
			t.Fatalf("%s: Empty is %v", what, a.Empty())
		}
	}
	rounds := 2000
	if testing.Short() {
		rounds = 30
	}
	for range rounds {
		a, b := ownership.Area{}, ownership.Area{}
		var ma, mb model
		for _, x := range []struct {
			a *ownership.Area
			m *model
		}{{&a, &ma}, {&b, &mb}} {
			base := rng.IntN(8)
			*x.a = ownership.AreaOf(base)
			*x.m = of(func(at place) bool { return base>>at.partition&1 == 1 })
			for range rng.IntN(4) {
				part := ownership.Part{Kind: []ownership.Kind{large, small}[rng.IntN(2)], From: everywhere[rng.IntN(4)]}
				if rng.IntN(2) == 0 {
					part.Until = everywhere[4+rng.IntN(3)]
				}
				set := rng.IntN(8)
				*x.a = x.a.With(part, set)
				before := *x.m
				*x.m = of(func(at place) bool {
					if at.kind == part.Kind && part.Covers(at.namespace) {
						return set>>at.partition&1 == 1
					}
					return before[at]
				})
			}
			check(*x.a, *x.m, "parts replaced")
		}
		check(a.Plus(b), of(func(at place) bool { return ma[at] || mb[at] }), "plus")
		check(a.And(b), of(func(at place) bool { return ma[at] && mb[at] }), "and")
		check(a.Minus(b), of(func(at place) bool { return ma[at] && !mb[at] }), "minus")
		if a.Equal(b) != cmp.Equal(ma, mb, cmp.AllowUnexported(place{})) {
			t.Fatalf("Equal is %v of %v and %v", a.Equal(b), a, b)
		}
	}
}

func valuesOf[K comparable, V any](m map[K]V) func(yield func(V) bool) {
	return func(yield func(V) bool) {
		for _, v := range m {
			if !yield(v) {
				return
			}
		}
	}
}

func FuzzParseParts(f *testing.F) {
	f.Add(ownership.FormatParts(parts))
	f.Add("t//v1/pods//,t/apps/v1/deployments/a/b")
	f.Add("t//v1/pods/b/a")
	f.Fuzz(func(t *testing.T, text string) {
		read, ok := ownership.ParseParts(text)
		if !ok {
			return
		}
		again, ok := ownership.ParseParts(ownership.FormatParts(read))
		if diff := cmp.Diff(read, again); !ok || diff != "" {
			t.Errorf("%q is read as %v, and written and read again:\n%s", text, read, diff)
		}
	})
}

func TestPartsThatCannotBeReadAreNoParts(t *testing.T) {
	t.Parallel()
	for _, text := range []string{",", "t//v1/pods/", "t//v1///", "t//v1/pods/b/a", "t//v1/pods/a/a", fmt.Sprint(parts[0], " ")} {
		if read, ok := ownership.ParseParts(text); ok && len(read) == 0 {
			t.Errorf("%q is read as nothing at all", text)
		} else if ok && text != fmt.Sprint(parts[0], " ") {
			t.Errorf("%q is read as %v", text, read)
		}
	}
}
