package operations_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

var (
	pods  = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	jobs  = resource.Type{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job", Namespaced: true}
	nodes = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
)

func members(n int) []string {
	ms := make([]string, n)
	for i := range ms {
		ms[i] = fmt.Sprintf("vs-%d", i)
	}
	return ms
}

// quick is a ring format whose rings are built faster than those of the default.
func quick() ring.Format {
	return ring.Format{Algorithm: "consistent1-xxh64", Partitions: 251, Replicas: 20, Load: 1.25}
}

func mustPlan(t *testing.T, members []string, types []operations.Weight) []operations.Part {
	t.Helper()
	parts, err := operations.Plan(members, quick(), types)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	return parts
}

func loads(parts []operations.Part) map[string]int {
	l := map[string]int{}
	for _, p := range parts {
		l[p.Member] += p.Objects
	}
	return l
}

// cluster invents weights: a few types have most of the objects, as in real clusters.
func cluster(rng *rand.Rand) []operations.Weight {
	spaces := 1 + rng.IntN(60)
	types := make([]operations.Weight, 1+rng.IntN(80))
	for i := range types {
		scale := []int{0, 5, 50, 500, 20000}[rng.IntN(5)]
		w := operations.Weight{Type: resource.Type{
			Group: []string{"", "apps", "example.com"}[rng.IntN(3)], Version: "v1", Resource: fmt.Sprintf("things%d", i), Kind: "Thing",
			Namespaced: rng.IntN(5) > 0,
		}}
		if w.Type.Namespaced && rng.IntN(10) > 0 {
			w.Namespaces = map[string]int{}
			for range 1 + rng.IntN(spaces) {
				w.Namespaces[fmt.Sprintf("ns-%d", rng.IntN(spaces))] += rng.IntN(scale/10 + 1)
			}
		} else {
			w.Objects = rng.IntN(scale + 1)
		}
		types[i] = w
	}
	return types
}

func sum(w operations.Weight) int {
	if w.Namespaces == nil || !w.Type.Namespaced {
		return w.Objects
	}
	n := 0
	for _, o := range w.Namespaces {
		n += o
	}
	return n
}

// TestPlanIsCompleteAndBalanced checks over random clusters and fleets, from a seed that is in the log, that
//
//   - every type is planned, every namespace of it in exactly one part, one that does not exist yet included;
//   - no object is counted twice or forgotten;
//   - no member has more than 1.5 times its fair share, unless all it has is what cannot be cut or moved;
//   - the order of members and types means nothing.
func TestPlanIsCompleteAndBalanced(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	for round := range rounds {
		ms, types := members(1+rng.IntN(9)), cluster(rng)
		parts := mustPlan(t, ms, types)
		checkCoverage(t, round, types, parts)
		checkBalance(t, round, ms, types, parts)
		rng.Shuffle(len(ms), func(i, j int) { ms[i], ms[j] = ms[j], ms[i] })
		rng.Shuffle(len(types), func(i, j int) { types[i], types[j] = types[j], types[i] })
		if d := cmp.Diff(parts, mustPlan(t, ms, types)); d != "" {
			t.Fatalf("round %d: another order, another plan:\n%s", round, d)
		}
	}
}

// namespacesOf counts the namespaces of a type that are in a part.
func namespacesOf(w operations.Weight, p operations.Part) int {
	n := 0
	for name := range w.Namespaces {
		if w.Type.Namespaced && p.Covers(name) {
			n++
		}
	}
	return n
}

func checkCoverage(t *testing.T, round int, types []operations.Weight, parts []operations.Part) {
	t.Helper()
	of := map[resource.Type][]operations.Part{}
	keys := map[string]bool{}
	for _, p := range parts {
		of[p.Type] = append(of[p.Type], p)
		if keys[p.Key] {
			t.Fatalf("round %d: two parts have the key %s", round, p.Key)
		}
		keys[p.Key] = true
	}
	if len(of) != len(types) {
		t.Fatalf("round %d: %d types are planned, want %d", round, len(of), len(types))
	}
	for _, w := range types {
		objects := 0
		slices.SortFunc(of[w.Type], func(a, b operations.Part) int { return strings.Compare(a.From, b.From) })
		for i, p := range of[w.Type] {
			objects += p.Objects
			if within := namespacesOf(w, p); p.Objects > operations.PartObjects && within > 1 {
				t.Fatalf("round %d: a part that could be cut has %d objects of %d namespaces", round, p.Objects, within)
			}
			if i > 0 && p.Member == of[w.Type][i-1].Member && p.Objects+of[w.Type][i-1].Objects <= operations.PartObjects {
				t.Fatalf("round %d: neighbours %+v and %+v are two parts of one member", round, of[w.Type][i-1], p)
			}
		}
		if objects != sum(w) {
			t.Fatalf("round %d: %d objects of %s are planned, want %d", round, objects, w.Type, sum(w))
		}
		names := []string{"", "0-before-all", "ns-1x-new", "zz-after-all"}
		for name := range w.Namespaces {
			names = append(names, name)
		}
		for _, name := range names {
			in := 0
			for _, p := range of[w.Type] {
				if p.Covers(name) {
					in++
				}
			}
			if in != 1 {
				t.Fatalf("round %d: namespace %q of %s is in %d parts, want 1", round, name, w.Type, in)
			}
		}
	}
}

func checkBalance(t *testing.T, round int, ms []string, types []operations.Weight, parts []operations.Part) {
	t.Helper()
	total, unit := 0, 0 // unit: the largest that cannot be cut
	for _, w := range types {
		total += sum(w)
		if w.Namespaces == nil || !w.Type.Namespaced {
			unit = max(unit, w.Objects)
			continue
		}
		for _, o := range w.Namespaces {
			unit = max(unit, o)
		}
	}
	fair, l := float64(total)/float64(len(ms)), loads(parts)
	least := total
	for _, m := range ms {
		least = min(least, l[m])
	}
	for _, m := range ms {
		if float64(l[m]) <= 1.5*fair {
			continue
		}
		if float64(unit) <= fair/2 {
			t.Fatalf("round %d: %s has %d objects, %.2f fair shares, though nothing is too large to be shared", round, m, l[m], float64(l[m])/fair)
		}
		for _, p := range parts {
			if p.Member == m && p.Objects > 0 && least+p.Objects < l[m] {
				t.Fatalf("round %d: %s has %d objects, and its part %s of %d would be better with one that has %d", round, m, l[m], p.Key, p.Objects, least)
			}
		}
	}
}

func TestAGiantIsCutByNamespaces(t *testing.T) {
	giant := operations.Weight{Type: pods, Namespaces: map[string]int{}}
	for i := range 40 {
		giant.Namespaces[fmt.Sprintf("team-%02d", i)] = 100
	}
	parts := mustPlan(t, members(4), []operations.Weight{giant, {Type: jobs, Objects: 10}, {Type: nodes, Objects: 10}})
	for m, objects := range loads(parts) {
		if objects > 1507 { // 1.5 times a quarter of 4020
			t.Errorf("%s has %d objects, want at most 1507", m, objects)
		}
	}
	if n := len(parts); n > 11 {
		t.Errorf("%d parts, want few: each is a list of its own", n)
	}
}

func TestPlan_LargeTypeWithoutNamespaces_StaysWholeAndAlone(t *testing.T) {
	parts := mustPlan(t, members(3), []operations.Weight{
		{Type: nodes, Objects: 1000}, {Type: pods, Namespaces: map[string]int{"a": 50, "b": 50}}, {Type: jobs, Objects: 100},
	})
	var giant []operations.Part
	alone := true
	for _, p := range parts {
		if p.Type == nodes {
			giant = append(giant, p)
		}
	}
	for _, p := range parts {
		alone = alone && (p.Type == nodes || p.Member != giant[0].Member)
	}
	if len(giant) != 1 || giant[0].Split() || giant[0].Objects != 1000 || !alone {
		t.Errorf("got %+v, want nodes whole, and with a member that has nothing else", parts)
	}
}

func TestOneMemberGetsEverythingWhole(t *testing.T) {
	want := []operations.Part{
		{Key: "nodes.v1", Type: nodes, Member: "vs-0", Objects: 3},
		{Key: "pods.v1", Type: pods, Member: "vs-0", Objects: 70},
		{Key: "jobs.v1.batch", Type: jobs, Member: "vs-0"},
	}
	got := mustPlan(t, members(1), []operations.Weight{{Type: jobs}, {Type: pods, Namespaces: map[string]int{"a": 20, "b": 50}}, {Type: nodes, Objects: 3}})
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("plan differs (-want +got):\n%s", d)
	}
}

func TestPlan_TypesAreInBalance_StayWithTheRing(t *testing.T) {
	var types []operations.Weight
	for i := range 300 {
		types = append(types, operations.Weight{Type: resource.Type{Version: "v1", Resource: fmt.Sprintf("things%d", i), Kind: "Thing"}, Objects: 10})
	}
	ms := members(3)
	r, err := ring.New(ms, quick())
	if err != nil {
		t.Fatal(err)
	}
	moved := slices.DeleteFunc(mustPlan(t, ms, types), func(p operations.Part) bool { return r.Owner(r.Partition(p.Key)) == p.Member })
	if len(moved) != 0 {
		t.Errorf("%d parts are not with the owner of their key, want none", len(moved))
	}
}

func TestPlanNeedsMembers(t *testing.T) {
	if _, err := operations.Plan(nil, quick(), nil); err == nil {
		t.Error("a plan without members is made")
	}
}
