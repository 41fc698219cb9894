package pipeline

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// TestItem_Size_IsThatOfItsClass guards the memory of waiting objects: there are hundreds of thousands at a large
// start.
func TestItem_Size_IsThatOfItsClass(t *testing.T) {
	if size := unsafe.Sizeof(item{}); size > 160 {
		t.Errorf("an item takes %d bytes, of which the allocator makes the next size class; want 160", size)
	}
	if size := unsafe.Sizeof(stub{}); size > 40 || size*stubsPerChunk > 32768 {
		t.Errorf("a stub takes %d bytes, want 40, and %d of them 32 KiB", size, stubsPerChunk)
	}
	if size := unsafe.Sizeof(extra{}); size > 208 {
		t.Errorf("what few items have takes %d bytes, of which the allocator makes the next size class; want 208", size)
	}
}

// inUse returns how much of the heap is in use.
func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestPipeline_AFirstListOfVeryMany_KeepsFewItems bounds the memory of a first sync while the receiver is slow.
// It allows so many items, of our objects and of others', and 48 bytes of each of the rest.
func TestPipeline_AFirstListOfVeryMany_KeepsFewItems(t *testing.T) {
	const many = 2 * maxBulk
	for whose, owner := range map[string]Owner{"ours": everything{}, "others'": nothing{}} {
		x := index.New(nil)
		pods := resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
		records := make([]resource.Record, many)
		for i := range records {
			records[i] = resource.Record{Namespace: "a", Name: fmt.Sprint("pod-", i), ResourceVersion: uint64(i + 1), Digest: 3, Body: "{}"}
		}
		x.Replace(pods, records, many) // so that the index is not counted
		p := New(nil, nil, delivery.NewBreaker(delivery.BreakerOptions{}), Options{Owner: owner})
		keys := x.Names(pods)
		order := resource.HashOrder(many, func(i int) uint64 { return pods.IDHash("a", keys[i][2:]) })
		before, half := inUse(), uint64(0)
		for n, i := range order {
			if n == 3*maxBulk/2 {
				half = inUse()
			}
			name := keys[i][2:]
			p.Apply(index.Change{
				Type: pods, ID: pods.ID("a", name), Key: keys[i], Cause: index.Initial,
				Record: resource.Record{Namespace: "a", Name: name, ResourceVersion: uint64(i + 1), Digest: 3, Body: "{}"},
			})
		}
		full := inUse()
		runtime.KeepAlive(keys)
		runtime.KeepAlive(order)
		if items := len(p.items.byID); items > maxBulk+1 {
			t.Errorf("%s: %d items, want %d", whose, items, maxBulk)
		}
		if each := (full - half) / (maxBulk / 2); each > 48 {
			t.Errorf("%s: each object beyond those takes %d bytes, want 48", whose, each)
		}
		if s := p.Stats(); s.Dirty+s.Parked != many || s.First.Total != many || int64(full-before) < many {
			t.Errorf("%s: not all wait: %+v", whose, s)
		}
		runtime.KeepAlive(x)
		runtime.KeepAlive(records)
	}
}

// nothing is the owner of no object.
type nothing struct{}

func (nothing) MaySend(resource.Type, resource.ID) bool { return false }

// TestItems_EmptyAfterMany_GiveTheirMemoryBack fails when the map keeps the room of items that are gone.
func TestItems_EmptyAfterMany_GiveTheirMemoryBack(t *testing.T) {
	const many = 100_000
	all := make([]*item, many)
	for i := range all {
		all[i] = &item{id: resource.ID(fmt.Sprint(i))}
	}
	s := items{byID: make(map[resource.ID]*item)}
	before := inUse()
	for _, it := range all {
		s.add(it)
	}
	full := inUse()
	for _, it := range all {
		s.remove(it)
	}
	if after := inUse(); full < before+many*24 || after > before+many {
		t.Errorf("took %d bytes when full, and %d when empty", int64(full-before), int64(after-before))
	}
	s.add(all[0]) // it is usable as before
	if s.byID[all[0].id] != all[0] {
		t.Error("what is added to an emptied map is not there")
	}
	runtime.KeepAlive(all)
	runtime.KeepAlive(&s)
}
