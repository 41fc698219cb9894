package index

import (
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Snapshot returns the names of a type's objects, as [Index.Names] does, and the type's state, both of one
// moment. Zero Stats mean that the type is not known.
func (x *Index) Snapshot(t resource.Type) ([]string, Stats) {
	o := x.lock(t, false)
	if o == nil {
		return nil, Stats{}
	}
	defer o.mu.Unlock()
	stats := Stats{Objects: o.entries.len(), Listed: o.listed, Version: o.version, Event: o.event, Since: o.since}
	return slices.Sorted(o.entries.keys()), stats
}
