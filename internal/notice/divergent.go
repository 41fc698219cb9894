package notice

import (
	"maps"
	"slices"
	"sync"
)

// Divergent collects types until the next look. The zero value is empty; it is safe for concurrent use.
type Divergent struct {
	mu    sync.Mutex      // guards types
	types map[string]bool // names
}

// Add takes a type that was found to differ. It does not block.
func (d *Divergent) Add(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.types == nil {
		d.types = make(map[string]bool)
	}
	d.types[name] = true
}

// Take returns the types that were added since the last call, sorted.
func (d *Divergent) Take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	taken := slices.Sorted(maps.Keys(d.types))
	d.types = nil
	return taken
}
