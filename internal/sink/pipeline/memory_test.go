package pipeline

import (
	"fmt"
	"runtime"
	"testing"
	"unsafe"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// TestItem_Size_IsThatOfItsClass keeps the memory of what waits: hundreds of thousands of objects at a large start.
func TestItem_Size_IsThatOfItsClass(t *testing.T) {
	if size := unsafe.Sizeof(item{}); size > 160 {
		t.Errorf("an item takes %d bytes, of which the allocator makes the next size class; want 160", size)
	}
	if size := unsafe.Sizeof(extra{}); size > 208 {
		t.Errorf("what few items have takes %d bytes, of which the allocator makes the next size class; want 208", size)
	}
}

// TestItems_EmptyAfterMany_GiveTheirMemoryBack fails when the map keeps the room of what has gone.
func TestItems_EmptyAfterMany_GiveTheirMemoryBack(t *testing.T) {
	const many = 100_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	all := make([]*item, many)
	for i := range all {
		all[i] = &item{id: resource.ID(fmt.Sprint(i))}
	}
	s := items{byID: make(map[resource.ID]*item)}
	before := heap()
	for _, it := range all {
		s.add(it)
	}
	full := heap()
	for _, it := range all {
		s.remove(it)
	}
	if after := heap(); full < before+many*24 || after > before+many {
		t.Errorf("took %d bytes when full, and %d when empty", int64(full-before), int64(after-before))
	}
	s.add(all[0]) // it is usable as before
	if s.byID[all[0].id] != all[0] {
		t.Error("what is added to an emptied map is not there")
	}
	runtime.KeepAlive(all)
	runtime.KeepAlive(&s)
}
