package deletions

import (
	"context"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// findings are the results of all searches. The finder's mu guards them.
type findings struct {
	metrics *repair.Metrics
	found   int                           // since the last report
	untold  []string                      // types that became unknown since the last report
	held    map[resource.Type]repair.Held // repairs with too many missing objects
	unknown map[resource.Type]bool        // types of which no source has told
}

// cannotTell notes a type of which no source can tell.
func (f *findings) cannotTell(t resource.Type) {
	f.unknown[t] = true
	f.untold = append(f.untold, t.String())
	f.report()
}

// hold notes the held repair of a type.
func (f *findings) hold(t resource.Type, h repair.Held) {
	f.held[t] = h
	f.report()
}

func (f *findings) report() {
	f.metrics.Unsolved("search", len(f.unknown)+len(f.held), repair.Documents(f.held))
}

func (f *Finder) count(source repair.Source, n int) {
	f.opts.Metrics.Found(source, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.findings.found += n
}

// news returns the findings since the last call, and the types that have become unknown since then.
func (f *Finder) news() (found int, unknown []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	found, f.findings.found = f.findings.found, 0
	unknown, f.findings.untold = f.findings.untold, nil
	return found, unknown
}

// Unresolved returns the types of which no source can tell.
func (f *Finder) Unresolved() []resource.Type {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(f.findings.unknown), resource.CompareTypes)
}

// Resolve notes that a source could tell of a type after all.
func (f *Finder) Resolve(t resource.Type) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.findings.unknown, t)
	f.findings.report()
}

// Held returns a copy of the held repairs.
func (f *Finder) Held() map[resource.Type]repair.Held {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.findings.held)
}

// Release deletes, with a person's consent, the held repair of the inventory for a type, within a scope. It
// returns the number of deletions when they are delivered, or after a while; see [repair.Deleter.Sweep].
func (f *Finder) Release(ctx context.Context, t resource.Type, within repair.Scope, sweep repair.Sweep) (told int, err error) {
	if _, held := f.Held()[t]; !held {
		return 0, nil
	}
	v, err := f.opts.Previous.Judge(t, func(t resource.Type, namespace, name string) bool {
		return f.opts.Receiver.Wants(t, namespace, name) && within.Has(namespace, name)
	}, f.IsGone(t), true)
	if err != nil { // Without a verdict there is no held repair either.
		f.opts.Previous.Discard(err)
		within = repair.Scope{}
	}
	told, err = sweep(ctx, t, v.Deleted, true)
	f.count(repair.Inventory, told)
	f.mu.Lock()
	defer f.mu.Unlock()
	held := f.findings.held
	h := held[t]
	h.Documents -= v.Missing
	switch {
	case err != nil: // The repair is held as before.
	case h.Documents > 0 && !within.Whole():
		held[t] = h
	default:
		delete(held, t)
		f.searches[t].state = Compared
	}
	f.findings.report()
	return told, err
}

// Settle lets the inventory forget what it knew of types that all receivers are done with.
func (f *Finder) Settle() { f.opts.Previous.Settle() }
