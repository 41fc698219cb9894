package deletions

import (
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Coverage returns for our next checkpoint, by the names of the types, how far each has been seen, and at which
// versions deletions are still to be searched. The caller may call it once it has read everything that earlier
// checkpoints said.
func (f *Finder) Coverage(now time.Time) map[string]checkpoint.Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin()
	seen := make(map[string]checkpoint.Seen)
	divided := f.divided()
	for name, versions := range f.past.Versions {
		if divided(name) { // The types that are watched in its place have its entry.
			continue
		}
		seen[name] = checkpoint.Seen{Deleted: versions[0], Earlier: f.past.ours[name]}
	}
	for _, t := range slices.AppendSeq(f.opts.Index.Types(), maps.Keys(f.searches)) {
		name, stats, s := t.String(), f.opts.Index.Type(t), f.enter(t, now)
		switch {
		case s != nil && stats.Listed:
			seen[name] = f.seen(t, s, stats, now)
		case s != nil && s.state.Done() && stats == (index.Stats{}): // Its end was watched, or has been searched.
			delete(seen, name)
		}
	}
	return seen
}

// seen is how far a type that is listed has been seen. The caller holds mu.
func (f *Finder) seen(t resource.Type, s *search, stats index.Stats, now time.Time) checkpoint.Seen {
	c := checkpoint.Seen{Version: stats.Version, Event: stats.Event, Opaque: stats.Version == 0}
	if hash, reach := f.opts.Index.SumAt(t, stats.Version); reach == index.Reached {
		c.Sum, c.SumAt = hash, stats.Version
	}
	if !s.state.Done() {
		c = f.unsearched(t.String(), c, s.versions)
	}
	if g := f.watched(t, s, now); g.State != Closed && g.After > 0 && (c.Deleted == 0 || g.After < c.Deleted) {
		c.Deleted = g.After
	}
	return c
}

// unsearched repeats what earlier checkpoints said of a type's deletions, and no more. The caller holds mu.
func (f *Finder) unsearched(name string, c checkpoint.Seen, versions []uint64) checkpoint.Seen {
	c.Deleted, c.Earlier = 1, f.past.ours[name] // 1: no earlier version is known.
	if len(versions) > 0 {
		c.Deleted = versions[0]
	}
	return c
}

// Withdraw takes back what the search has found out about a type's deletions: the next checkpoint says no more
// than before the search.
func (f *Finder) Withdraw(name string, c checkpoint.Seen) checkpoint.Seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unsearched(name, c, f.past.Of(name))
}

// divided returns the entries that cover a name whose type is watched in the other division: the slices for a
// whole type, or the whole type for a slice. The caller holds mu.
func (f *Finder) divided() func(name string) bool {
	whole, sliced := make(map[string]bool), make(map[string]bool)
	for _, t := range f.opts.Index.Types() {
		if f.searches[t] == nil {
			continue
		}
		into := whole
		if t.Within != "" {
			into = sliced
		}
		into[t.Whole().String()] = true
	}
	return func(name string) bool {
		of, within := resource.WholeName(name)
		return within == "" && sliced[of] || within != "" && whole[of]
	}
}
