package index_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// event is one change of a cluster.
type event struct {
	name    string
	version uint64
	deleted bool
}

func (e event) apply(x *index.Index) {
	if e.deleted {
		x.Delete(pods, "a", e.name, e.version)
		return
	}
	x.Upsert(pods, rec("a", e.name, e.version%3, e.version))
}

// history makes n events over some names, with gaps between the versions, and the true sum after each of them.
func history(rng *rand.Rand, n int) (events []event, truth []index.Sum) {
	state, version := map[string]uint64{}, uint64(100)
	for range n {
		version += 1 + rng.Uint64N(3)
		e := event{name: fmt.Sprint("o", rng.IntN(20)), version: version}
		if _, there := state[e.name]; there && rng.IntN(3) == 0 {
			e.deleted = true
			delete(state, e.name)
		} else {
			state[e.name] = version
		}
		sum := index.Sum{Version: version}
		for name, v := range state {
			sum.Add("a", name, v)
		}
		events, truth = append(events, e), append(truth, sum)
	}
	return events, truth
}

func TestSum_RememberedVersion_IsThatOfItsObjects(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		events, truth := history(rng, 700)
		x := index.New(nil)
		x.Replace(pods, nil, 100)
		for i, e := range events {
			e.apply(x)
			if rng.IntN(4) == 0 {
				x.Bookmark(pods, e.version)
			}
			if got, ok := x.Sum(pods); !ok || got != truth[i] {
				t.Fatalf("seed %d: after event %d the sum is %+v (%v), want %+v", seed, i, got, ok, truth[i])
			}
		}
		if since := x.SummedSince(pods); since != truth[max(0, len(truth)-512)].Version {
			t.Fatalf("seed %d: sums are remembered since %d, want the last 512", seed, since)
		}
		for i, want := range truth {
			got, reach := x.SumAt(pods, want.Version)
			remembered := len(truth)-i <= 512
			if remembered != (reach == index.Reached) || remembered && got != want.Hash {
				t.Fatalf("seed %d: at version %d (%d ago) the sum is %x (%s), want %x", seed, want.Version, len(truth)-i, got, reach, want.Hash)
			}
			if i > 0 && remembered && truth[i-1].Version < want.Version-1 && len(truth)-i < 512 {
				if got, _ := x.SumAt(pods, want.Version-1); got != truth[i-1].Hash {
					t.Fatalf("seed %d: just before version %d the sum is %x, want that of the event before", seed, want.Version, got)
				}
			}
		}
	}
}

func TestAnIndexThatLostOneEventDiffersUntilItListsAgain(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	events, _ := history(rng, 200)
	for lost := range events {
		whole, lossy := index.New(nil), index.New(nil)
		for _, x := range []*index.Index{whole, lossy} {
			x.Replace(pods, nil, 100)
		}
		differs := false
		for i, e := range events {
			e.apply(whole)
			if i != lost {
				e.apply(lossy)
			}
			same := false
			if hash, reach := lossy.SumAt(pods, e.version); reach == index.Reached {
				want, _ := whole.SumAt(pods, e.version)
				same = hash == want
			}
			if i == lost && same {
				t.Fatalf("losing %+v is not noticed", e)
			}
			differs = differs || !same
		}
		if !differs {
			t.Fatalf("losing event %d makes no difference", lost)
		}
		var rs []resource.Record
		whole.All(pods, func(namespace, name string, version uint64) bool {
			rs = append(rs, rec(namespace, name, version%3, version))
			return true
		})
		lossy.Replace(pods, rs, events[len(events)-1].version+5)
		a, _ := whole.Sum(pods)
		if b, ok := lossy.Sum(pods); !ok || !a.Same(b) {
			t.Fatalf("after a list the sums are %+v and %+v", a, b)
		}
	}
}

func TestUpdatesThatChangeNothingAReceiverStoresChangeTheSum(t *testing.T) {
	x := index.New(nil)
	x.Replace(pods, []resource.Record{rec("a", "same", 1, 10)}, 20)
	before, _ := x.Sum(pods)
	x.Upsert(pods, rec("a", "same", 1, 21))
	if after, _ := x.Sum(pods); before.Same(after) || after.Version != 21 {
		t.Errorf("the sum was %+v and is %+v: the loss of such an event would not be seen, nor that of the next", before, after)
	}
}

func TestSum_UnknownVersion_IsNotGiven(t *testing.T) {
	x := index.New(nil)
	reach := func(version uint64) index.Reach { _, r := x.SumAt(pods, version); return r }
	want := func(when string, version uint64, want index.Reach) {
		t.Helper()
		if got := reach(version); got != want {
			t.Errorf("%s, version %d is %s, want %s", when, version, got, want)
		}
	}
	want("before anything", 10, index.Unknown)
	x.Upsert(pods, rec("a", "o", 1, 9))
	want("before the list", 9, index.Unknown)
	x.Replace(pods, []resource.Record{rec("a", "o", 1, 9)}, 20)
	want("after a list", 19, index.Unknown)
	want("after a list", 20, index.Reached)
	want("after a list", 21, index.Ahead)
	x.Bookmark(pods, 30)
	want("after a bookmark", 30, index.Reached)
	x.Upsert(pods, rec("a", "late", 1, 25)) // no API server sends events in this order
	want("after an event out of order", 30, index.Unknown)
	if s, ok := x.Sum(pods); ok {
		t.Errorf("an ambiguous sum is told: %+v", s)
	}
	x.Bookmark(pods, 31)
	want("once that is past", 31, index.Reached)
	x.Replace(pods, nil, 7)
	want("after a restore of etcd", 31, index.Ahead)
	want("after a restore of etcd", 7, index.Reached)
	if s, ok := x.Sum(pods); !ok || s != (index.Sum{Version: 7}) {
		t.Errorf("after a restore that left nothing the sum is %+v (%v)", s, ok)
	}
}

func TestARestoreWithObjectsSumsWhatIsThere(t *testing.T) {
	x := index.New(nil)
	x.Replace(pods, []resource.Record{rec("a", "kept", 1, 10), rec("a", "later", 1, 90)}, 100)
	x.Replace(pods, []resource.Record{rec("a", "kept", 1, 10), rec("a", "back", 2, 20)}, 50)
	want := index.Sum{Version: 50}
	want.Add("a", "kept", 10)
	want.Add("a", "back", 20)
	if got, _ := x.Sum(pods); got != want {
		t.Errorf("the sum is %+v, want %+v", got, want)
	}
}

func TestSum_ObjectIsLeftOut_DoesNotCount(t *testing.T) {
	x := index.New(nil)
	x.LeaveOut(func(_ resource.Type, _, name string) bool { return name == "ours" })
	x.Replace(pods, []resource.Record{rec("a", "ours", 1, 10), rec("a", "theirs", 1, 11)}, 20)
	before, _ := x.Sum(pods)
	x.Upsert(pods, rec("a", "ours", 2, 21))
	if after, _ := x.Sum(pods); after != before || after.Objects != 1 {
		t.Errorf("the sum was %+v and is %+v, want one object and no change", before, after)
	}
	x.Delete(pods, "a", "ours", 22)
	if after, _ := x.Sum(pods); after != before {
		t.Errorf("the sum was %+v and is %+v after the deletion", before, after)
	}
}

func TestSumsCostNoAllocation(t *testing.T) {
	x := index.New(nil)
	x.Replace(pods, []resource.Record{rec("a", "o", 1, 10)}, 20)
	version := uint64(20)
	for range 600 { // until the ring is full
		version++
		x.Upsert(pods, rec("a", "o", 1, version))
	}
	var sum index.Sum
	if n := testing.AllocsPerRun(1000, func() {
		_, _ = x.SumAt(pods, version-100)
		sum.Add("namespace", "name", version)
	}); n != 0 {
		t.Errorf("looking at a sum, and adding to one, allocates %.1f times", n)
	}
	// The allocations are the key of the map and the name of the type for the gauge, as without a sum.
	if n := testing.AllocsPerRun(1000, func() {
		version++
		x.Upsert(pods, rec("a", "o", 1, version))
	}); n > 2 {
		t.Errorf("an update that changes nothing but the version allocates %.1f times, want 2", n)
	}
}

func BenchmarkSumAt(b *testing.B) {
	x := index.New(nil)
	x.Replace(pods, realistic(1000), 1000)
	for i := range 600 {
		x.Upsert(pods, rec("a", "o", 1, uint64(2000+i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		_, _ = x.SumAt(pods, 2300)
	}
}

func BenchmarkHash(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_ = index.Hash("kube-system", "coredns-7c65d6cfc9-abcde", 12345678)
	}
}
