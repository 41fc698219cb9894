package index_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

var (
	pods  = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	nodes = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
)

type listener func(index.Change)

func (f listener) Apply(c index.Change) { f(c) }

// recorder writes changes down as text.
type recorder struct{ got []string }

func (r *recorder) Apply(c index.Change) {
	op := "upsert"
	if c.Deleted {
		op = "delete"
	}
	cause := map[index.Cause]string{index.Live: "live", index.Initial: "initial", index.Gone: "gone"}[c.Cause]
	known := ""
	if c.Known {
		known = fmt.Sprintf(" was %d", c.Previous)
	}
	r.got = append(r.got, fmt.Sprintf("%s %s %s %d@%d%s", cause, op, c.ID, c.Record.Digest, c.Record.ResourceVersion, known))
}

func (r *recorder) take() []string {
	got := r.got
	r.got = nil
	slices.Sort(got)
	return got
}

func rec(namespace, name string, digest, version uint64) resource.Record {
	return resource.Record{Namespace: namespace, Name: name, Digest: digest, ResourceVersion: version}
}

func newIndex() (*index.Index, *recorder) {
	x, r := index.New(nil), &recorder{}
	x.Listen(r)
	return x, r
}

func want(t *testing.T, r *recorder, lines ...string) {
	t.Helper()
	slices.Sort(lines)
	if diff := cmp.Diff(lines, r.take()); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}

func TestReplace_FirstListAndRelist_InitialThenTheDifference(t *testing.T) {
	x, r := newIndex()
	x.Replace(pods, []resource.Record{rec("a", "same", 1, 10), rec("a", "changed", 1, 11), rec("a", "gone", 1, 12)}, 20)
	want(t, r, "initial upsert a/v1/Pod/same 1@10", "initial upsert a/v1/Pod/changed 1@11", "initial upsert a/v1/Pod/gone 1@12")

	x.Replace(pods, []resource.Record{rec("a", "same", 1, 10), rec("a", "changed", 2, 31), rec("b", "new", 3, 32)}, 40)
	want(t, r, "live upsert a/v1/Pod/changed 2@31 was 1", "live upsert b/v1/Pod/new 3@32", "live delete a/v1/Pod/gone 0@40 was 1")
	if diff := cmp.Diff(index.Stats{Objects: 3, Listed: true, Version: 40, Event: 32, Since: 40, Before: 20, First: 20, Whole: 40}, x.Type(pods)); diff != "" {
		t.Error(diff)
	}
}

// TestReplace_FirstList_IsReportedInTheOrderOfHashes: a checkpoint says with one hash how far a first sync has
// come.
func TestReplace_FirstList_IsReportedInTheOrderOfHashes(t *testing.T) {
	x := index.New(nil)
	var told []uint64
	x.Listen(listener(func(c index.Change) {
		told = append(told, c.ID.Hash())
		if c.Record.Name != fmt.Sprint("p", c.Record.Digest) {
			t.Errorf("%s has the state of another", c.ID)
		}
	}))
	var list []resource.Record
	for i := range uint64(100) {
		list = append(list, rec("a", fmt.Sprint("p", i), i, i+1))
	}
	x.Replace(pods, list, 200)
	if len(told) != 100 || !slices.IsSorted(told) {
		t.Errorf("told of %d in this order: %v", len(told), told)
	}
}

func TestARelistTellsOfWhatMayHaveBeenOtherwiseInBetween(t *testing.T) {
	x := index.New(nil)
	var got []index.Change
	x.Replace(pods, []resource.Record{rec("a", "still", 1, 10), rec("a", "moved", 1, 11)}, 20)
	x.Listen(listener(func(c index.Change) { got = append(got, c) }))
	x.Upsert(pods, rec("a", "moved", 1, 25)) // the index has seen this state: nothing happened in between
	x.Replace(pods, []resource.Record{rec("a", "still", 1, 10), rec("a", "moved", 1, 31)}, 40)
	if len(got) != 1 || !got[0].Again || got[0].Record.ResourceVersion != 31 {
		t.Errorf("told %+v, want that moved was found again at 31", got)
	}
}

// TestOnlyWhatTheWatchShouldHaveBroughtIsLost: what has changed in a gap is not, nor is what a restore brings back.
func TestOnlyWhatTheWatchShouldHaveBroughtIsLost(t *testing.T) {
	x, told := index.New(nil), map[string]bool{}
	x.Listen(listener(func(c index.Change) { told[c.Record.Name] = c.Lost }))
	x.Replace(pods, []resource.Record{rec("a", "same", 1, 10), rec("a", "status", 1, 11), rec("a", "lost", 1, 12)}, 20)
	x.Upsert(pods, rec("a", "event", 1, 25))
	x.Bookmark(pods, 30)
	x.Replace(pods, []resource.Record{
		rec("a", "same", 1, 10), rec("a", "status", 1, 28), rec("a", "lost", 2, 29), rec("a", "lostnew", 1, 30), rec("a", "event", 1, 25), rec("a", "gap", 1, 31),
	}, 40)
	want := map[string]bool{"same": false, "status": false, "lost": true, "lostnew": true, "event": false, "gap": false}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("lost (-want +got):\n%s", diff)
	}
	x.Replace(pods, []resource.Record{rec("a", "restored", 1, 5)}, 15)
	if told["restored"] {
		t.Error("what a restore brings back is said to be lost")
	}
}

func TestAChangeSaysAfterWhichVersionItHappened(t *testing.T) {
	x := index.New(nil)
	got := make(map[string]uint64)
	x.Listen(listener(func(c index.Change) { got[c.Record.Name] = c.After }))
	step := func(what string, want map[string]uint64) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
		clear(got)
	}
	x.Replace(pods, []resource.Record{rec("a", "x", 1, 10), rec("a", "y", 1, 11), rec("a", "z", 1, 12)}, 20)
	step("a first list", map[string]uint64{"x": 0, "y": 0, "z": 0})
	x.Upsert(pods, rec("a", "x", 2, 25))
	x.Delete(pods, "a", "y", 30)
	step("events", map[string]uint64{"x": 24, "y": 29})
	x.Bookmark(pods, 40)
	x.Replace(pods, []resource.Record{rec("a", "x", 3, 70), rec("a", "new", 1, 60)}, 90)
	step("a list after a gap", map[string]uint64{"x": 40, "z": 40, "new": 40})
	x.Replace(pods, []resource.Record{rec("a", "x", 4, 50)}, 55)
	step("a list after a restore of etcd", map[string]uint64{"x": 0, "new": 0})
}

func TestAfterARestoreOfEtcdTheOlderStateIsTheTruth(t *testing.T) {
	x, r := newIndex()
	x.Replace(pods, []resource.Record{rec("a", "same", 1, 10), rec("a", "changed", 1, 11)}, 20)
	x.Upsert(pods, rec("a", "changed", 2, 210))
	x.Upsert(pods, rec("a", "lost", 1, 220))
	r.take()

	x.Replace(pods, []resource.Record{rec("a", "same", 1, 10), rec("a", "changed", 1, 11)}, 150)
	want(t, r, "live upsert a/v1/Pod/changed 1@150 was 2", "live delete a/v1/Pod/lost 0@150 was 1")
	if got := x.Type(pods).Version; got != 150 {
		t.Errorf("version %d, want that of the list", got)
	}
	x.Upsert(pods, rec("a", "changed", 3, 160)) // the API server uses versions from before the restore again
	want(t, r, "live upsert a/v1/Pod/changed 3@160 was 1")
}

func TestAnEmptyRelistDeletesWhatWasThere(t *testing.T) {
	x, r := newIndex()
	x.Replace(nodes, []resource.Record{rec("", "n1", 1, 1)}, 1)
	r.take()
	x.Replace(nodes, nil, 9)
	want(t, r, "live delete _cluster/v1/Node/n1 0@9 was 1")
}

func TestAnUpdateThatChangesNothingEndsHere(t *testing.T) {
	x, r := newIndex()
	x.Replace(pods, []resource.Record{rec("a", "p", 7, 1)}, 1)
	r.take()
	for v := range uint64(10_000) {
		x.Upsert(pods, rec("a", "p", 7, 2+v))
	}
	want(t, r)
	if _, version, _ := x.Get(pods, "a", "p"); version != 10_001 {
		t.Errorf("version is %d, want the newest, 10001", version)
	}
}

func TestAnOldEventChangesNothing(t *testing.T) {
	x, r := newIndex()
	x.Upsert(pods, rec("a", "p", 2, 20))
	r.take()
	x.Upsert(pods, rec("a", "p", 1, 10))
	x.Delete(pods, "a", "p", 10)
	want(t, r)
	if digest, _, ok := x.Get(pods, "a", "p"); !ok || digest != 2 {
		t.Errorf("got %d %v, want the newer state", digest, ok)
	}
}

func TestARecreatedObjectIsAChangeWithItsPredecessor(t *testing.T) {
	x, r := newIndex()
	x.Upsert(pods, rec("a", "p", 1, 1))
	x.Delete(pods, "a", "p", 2)
	x.Upsert(pods, rec("a", "p", 9, 3))
	want(t, r, "live upsert a/v1/Pod/p 1@1", "live delete a/v1/Pod/p 0@2 was 1", "live upsert a/v1/Pod/p 9@3")
}

func TestADeletionOfTheUnknownIsToldOf(t *testing.T) {
	x, r := newIndex()
	x.Delete(pods, "a", "stranger", 5)
	want(t, r, "live delete a/v1/Pod/stranger 0@5")
}

func TestRemoveTellsOfEveryObjectAndForgetsTheType(t *testing.T) {
	x, r := newIndex()
	x.Replace(pods, []resource.Record{rec("a", "p", 1, 1), rec("b", "q", 2, 2)}, 2)
	x.Replace(nodes, []resource.Record{rec("", "n", 1, 1)}, 2)
	r.take()
	if n := x.Remove(pods); n != 2 {
		t.Errorf("Remove = %d, want 2", n)
	}
	want(t, r, "gone delete a/v1/Pod/p 0@2 was 1", "gone delete b/v1/Pod/q 0@3 was 2")
	if x.Remove(pods) != 0 || x.Len() != 1 {
		t.Error("the type is not forgotten")
	}
	x.Replace(pods, []resource.Record{rec("a", "p", 1, 9)}, 9)
	want(t, r, "initial upsert a/v1/Pod/p 1@9")
}

func TestIfCurrent_WatchIsAhead_Refuses(t *testing.T) {
	x, _ := newIndex()
	x.Upsert(pods, rec("a", "p", 2, 20))
	called := 0
	f := func() { called++ }
	if !x.IfCurrent(pods, rec("a", "p", 2, 20), f) || called != 1 {
		t.Error("the current state is refused")
	}
	for name, r := range map[string]resource.Record{
		"older": rec("a", "p", 1, 10), "newer, the watch will bring it": rec("a", "p", 3, 30), "gone": rec("a", "q", 2, 20),
	} {
		if x.IfCurrent(pods, r, f) {
			t.Errorf("%s: offered", name)
		}
	}
	if x.IfCurrent(nodes, rec("", "n", 1, 1), f) || called != 1 {
		t.Error("f was called for what is not current")
	}
}

func TestIfAbsent_NoListLacksTheObject_Refuses(t *testing.T) {
	x, _ := newIndex()
	called := 0
	f := func() { called++ }
	x.Upsert(pods, rec("a", "early", 1, 1)) // an event before the list
	if x.IfAbsent(pods, "a", "other", f) || x.IfAbsent(nodes, "", "n", f) {
		t.Error("absent from what has not been listed")
	}
	x.Replace(pods, []resource.Record{rec("a", "there", 1, 10)}, 10)
	if x.IfAbsent(pods, "a", "there", f) || !x.IfAbsent(pods, "a", "gone", f) || called != 1 {
		t.Errorf("called %d times, want once for the one that is gone", called)
	}
}

func TestARemovedListenerIsCalledNoMore(t *testing.T) {
	x, first := newIndex()
	second := &recorder{}
	remove := x.Listen(second)
	x.Upsert(pods, rec("a", "p", 1, 1))
	remove()
	x.Upsert(pods, rec("a", "p", 2, 2))
	want(t, first, "live upsert a/v1/Pod/p 1@1", "live upsert a/v1/Pod/p 2@2 was 1")
	want(t, second, "live upsert a/v1/Pod/p 1@1")
}

func TestMetrics_TypesComeAndGo_GaugeFollows(t *testing.T) {
	reg := prometheus.NewRegistry()
	x := index.New(reg)
	x.Replace(pods, []resource.Record{rec("a", "p", 1, 1), rec("a", "q", 1, 1)}, 1)
	x.Delete(pods, "a", "q", 2)
	wantText := "# HELP k8s_vectordb_sync_objects Objects in the index, by resource type.\n# TYPE k8s_vectordb_sync_objects gauge\n" +
		"k8s_vectordb_sync_objects{resource=\"pods.v1\"} 1\n"
	if err := testutil.GatherAndCompare(reg, strings.NewReader(wantText), "k8s_vectordb_sync_objects"); err != nil {
		t.Error(err)
	}
	x.Remove(pods)
	if n, _ := testutil.GatherAndCount(reg, "k8s_vectordb_sync_objects"); n != 0 {
		t.Errorf("%d series of a removed type", n)
	}
}

// TestListenersConvergeOnTheClusterWhateverTheWatchDoes is the model test. It has a random cluster, a watch that
// brings every event or relists, and a listener that applies changes to a plain map. The map equals the cluster
// after every step.
func TestListenersConvergeOnTheClusterWhateverTheWatchDoes(t *testing.T) {
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 7))
		x := index.New(nil)
		mirror := mirror{}
		x.Listen(mirror)
		cluster := map[string]resource.Record{}
		version, interrupted := uint64(0), true
		for step := range 400 {
			version++
			name := fmt.Sprint("o", r.IntN(12))
			if _, exists := cluster[name]; exists && r.IntN(3) == 0 {
				delete(cluster, name)
				if !interrupted {
					x.Delete(pods, "a", name, version)
				}
			} else {
				cluster[name] = rec("a", name, uint64(r.IntN(3)), version)
				if !interrupted {
					x.Upsert(pods, cluster[name])
				}
			}
			switch r.IntN(20) {
			case 0:
				interrupted = true
			case 1, 2:
				var list []resource.Record
				for _, o := range cluster {
					list = append(list, o)
				}
				x.Replace(pods, list, version)
				interrupted = false
			}
			if interrupted {
				continue
			}
			wantMirror := map[resource.ID]uint64{}
			for name, o := range cluster {
				wantMirror[pods.ID("a", name)] = o.Digest
			}
			if diff := cmp.Diff(wantMirror, map[resource.ID]uint64(mirror)); diff != "" {
				t.Fatalf("seed %d, step %d:\n%s", seed, step, diff)
			}
		}
	}
}

type mirror map[resource.ID]uint64

func (m mirror) Apply(c index.Change) {
	if c.Deleted {
		delete(m, c.ID)
	} else {
		m[c.ID] = c.Record.Digest
	}
}

func realistic(n int) []resource.Record {
	rs := make([]resource.Record, n)
	for i := range rs {
		rs[i] = rec(fmt.Sprintf("team-%02d", i%50), fmt.Sprintf("checkout-service-7d9c5b8f4-%05x", i), uint64(i), uint64(i))
	}
	return rs
}

// BenchmarkMemory reports the memory of an object that is known and delivered, including its name.
func BenchmarkMemory(b *testing.B) {
	for _, n := range []int{20_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for range b.N {
				var before, after runtime.MemStats
				rs := realistic(n)
				runtime.GC()
				runtime.ReadMemStats(&before)
				x := index.New(nil)
				x.Replace(pods, rs, 1)
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/object")
				runtime.KeepAlive(x)
				runtime.KeepAlive(rs)
			}
		})
	}
}

func BenchmarkUnchangedUpdate(b *testing.B) {
	x := index.New(nil)
	rs := realistic(100_000)
	x.Replace(pods, rs, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		x.Upsert(pods, rs[i%len(rs)])
	}
}

func BenchmarkChangedUpdate(b *testing.B) {
	x := index.New(nil)
	x.Listen(nothing{})
	rs := realistic(100_000)
	x.Replace(pods, rs, 1)
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		r := rs[i%len(rs)]
		r.Digest = uint64(i) + 1<<40
		r.ResourceVersion = uint64(i) + 1<<40
		x.Upsert(pods, r)
	}
}

type nothing struct{}

func (nothing) Apply(index.Change) {}

func TestIfUnserved_TypeIsKnown_Refuses(t *testing.T) {
	x, _ := newIndex()
	called := 0
	if !x.IfUnserved(pods, func() { called++ }) || called != 1 || len(x.Types()) > 0 {
		t.Errorf("called %d times for a type that is not known; known are %v", called, x.Types())
	}
	x.Replace(pods, nil, 5)
	if x.IfUnserved(pods, func() { called++ }) || called != 1 {
		t.Error("called for a type that is served")
	}
	x.Remove(pods)
	if !x.IfUnserved(pods, func() { called++ }) || called != 2 {
		t.Error("not called after the type was removed")
	}
}

// TestAnUpdateAllocatesLittle bounds the cost of an event that changes nothing, for every replica: the key of
// the map and the name of the type.
func TestAnUpdateAllocatesLittle(t *testing.T) {
	x := index.New(nil)
	x.Listen(nothing{})
	rs := realistic(1000)
	x.Replace(pods, rs, 1)
	i := 0
	if n := testing.AllocsPerRun(1000, func() {
		x.Upsert(pods, rs[i%len(rs)])
		i++
	}); n > 2 {
		t.Errorf("an update that changes nothing allocates %.1f times, want 2", n)
	}
	version := uint64(1) << 40
	if n := testing.AllocsPerRun(1000, func() {
		version++
		r := rs[int(version)%len(rs)]
		r.Digest, r.ResourceVersion = version, version
		x.Upsert(pods, r)
	}); n > 3 {
		t.Errorf("an update that changes something allocates %.1f times, want 3", n)
	}
}

// TestAnObjectTakesLittleMemory checks the figure of docs/benchmarks.md: an object that is known and delivered
// takes some 115 bytes, including its name.
func TestAnObjectTakesLittleMemory(t *testing.T) {
	const objects, most = 20_000, 130
	rs := realistic(objects)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := index.New(nil)
	x.Replace(pods, rs, 1)
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := float64(after.HeapAlloc-before.HeapAlloc) / objects; each > most {
		t.Errorf("an object takes %.0f bytes, want at most %d", each, most)
	}
	runtime.KeepAlive(x)
	runtime.KeepAlive(rs)
}

// TestTypes_WhileNoneComesOrGoes_CostOneCopy: callers ask for types several times a second, and there may be a
// thousand.
func TestTypes_WhileNoneComesOrGoes_CostOneCopy(t *testing.T) {
	x := index.New(nil)
	want := func(types ...resource.Type) {
		t.Helper()
		if diff := cmp.Diff(types, x.Types()); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
	}
	services := resource.Type{Version: "v1", Resource: "services", Kind: "Service", Namespaced: true}
	want([]resource.Type{}...)
	x.Upsert(services, rec("a", "one", 1, 10))
	want(services)
	x.Upsert(pods, rec("a", "one", 1, 11))
	want(pods, services)
	before := x.Types()
	x.Replace(pods, []resource.Record{rec("a", "two", 1, 12)}, 12)
	if allocs := testing.AllocsPerRun(100, func() { x.Types() }); allocs > 1 {
		t.Errorf("asking for the types costs %v allocations, want one copy", allocs)
	}
	clear(x.Types()) // The slice is the caller's.
	want(pods, services)
	x.Remove(services)
	want(pods)
	if diff := cmp.Diff([]resource.Type{pods, services}, before); diff != "" {
		t.Errorf("what was handed out has changed (-want +got):\n%s", diff)
	}
	x.Upsert(services, rec("a", "one", 1, 20))
	want(pods, services)
}
