package plan

import (
	"fmt"
	"runtime"
	"testing"
)

// TestTrackerTakesLittleForAnObject checks the figure of doc.go for memory.
func TestTrackerTakesLittleForAnObject(t *testing.T) {
	const objects = 50_000
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := used()
	k := newTracker(0, 0)
	for i := range objects {
		o := object(fmt.Sprintf("pod-%d", i), "u", "a description", "app", "web", "pod-template-hash", fmt.Sprint(i), "tier", "front", "team", "shop")
		k.begin(node.ID("", o.Name), record(t, o))
	}
	each := (used() - before) / objects
	runtime.KeepAlive(k)
	if each > 250 {
		t.Errorf("an object with five labels and annotations takes %d bytes, want 250 at most", each)
	}
	t.Logf("an object with five labels and annotations takes %d bytes", each)
}
