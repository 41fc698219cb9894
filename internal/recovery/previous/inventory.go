package previous

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"sync/atomic"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Receiver is one of the receivers for which the inventory is kept.
type Receiver interface {
	// PendingDeletions calls f with each object of a type whose deletion is not delivered.
	PendingDeletions(t resource.Type, f func(namespace, name string))
	// Settled tells whether the search of a type is complete.
	Settled(t resource.Type) bool
}

// Options are what an [Inventory] is made of.
type Options struct {
	// Dir is where the file is; empty: nothing is remembered.
	Dir string
	// Meta says to which cluster and ring the inventory must belong.
	Meta inventory.Meta
	// Index is the present.
	Index *index.Index
	// Receivers yields the receivers of this replica.
	Receivers iter.Seq[Receiver]
	// Namespaces are the watched namespaces, Wanted tells which types are watched.
	Namespaces watch.NamespaceFilter
	Wanted     func(resource.Type) bool
	Log        logr.Logger
	Registerer prometheus.Registerer
}

// Wants tells whether a receiver selects an object like this one.
type Wants func(t resource.Type, namespace, name string) bool

// Inventory is the inventory of the previous process, with the writer of the next. Create it with [Open].
type Inventory struct {
	opts       Options
	before     *inventory.Inventory // nil: none, or none that may be believed
	writer     *inventory.Writer
	generation atomic.Uint64
	void       atomic.Bool // before is not to be believed after all
	lost       lostTime
}

// Open opens the inventory in a directory. It logs whatever is wrong with it, and the replica continues without:
// a lost memory is never a reason to delete, nor to stand still. It returns nil where no directory is configured.
func Open(opts Options) *Inventory {
	if opts.Dir == "" {
		return nil
	}
	opts.Log = opts.Log.WithValues("directory", opts.Dir)
	p := &Inventory{opts: opts}
	var err error
	p.before, err = inventory.Open(opts.Dir, opts.Meta, inventory.Limits{})
	switch {
	case err == nil:
		opts.Log.Info("Inventory of the previous process found", "types", len(p.before.Types()), "bytes", p.before.Bytes())
	case errors.Is(err, fs.ErrNotExist):
		opts.Log.Info("No inventory of a previous process; this process begins one")
	default:
		opts.Log.Error(err, "Inventory of the previous process is not used: nothing is deleted on its evidence")
	}
	p.writer, err = inventory.NewWriter(opts.Dir, opts.Meta, p, inventory.WriterOptions{Before: p.before, Log: opts.Log, Registerer: opts.Registerer})
	if err != nil {
		opts.Log.Error(err, "No inventory is kept; deletions that happen while no replica runs may be missed")
		return nil // before is nil for the same reason, so no file is left open.
	}
	for _, t := range p.KnownTypes() {
		if !opts.Wanted(t) {
			p.writer.Settle(t)
		}
	}
	opts.Index.Listen(p) // for as long as there is an index
	return p
}

// Run keeps the inventory until ctx ends, and writes it once more then. It never fails.
func (p *Inventory) Run(ctx context.Context) error {
	if p == nil {
		return nil
	}
	return p.writer.Run(ctx)
}

// believed tells whether there is an inventory that may be believed.
func (p *Inventory) believed() bool { return p != nil && p.before != nil && !p.void.Load() }

// KnownTypes are the types that the previous process knew.
func (p *Inventory) KnownTypes() []resource.Type {
	if !p.believed() {
		return nil
	}
	var types []resource.Type
	for _, info := range p.before.Types() {
		types = append(types, info.Type)
	}
	return types
}

// Knows tells whether the previous process knew a type.
func (p *Inventory) Knows(t resource.Type) bool { return slices.Contains(p.KnownTypes(), t) }

// Judge compares what the previous process knew of a type with the present objects, as far as wants selects them.
// Gone tells that the type is proven to be no longer served; force passes the guard. The status is unknown where
// nothing can be said.
func (p *Inventory) Judge(t resource.Type, wants Wants, gone, force bool) (inventory.Verdict, error) {
	if !p.Knows(t) {
		return inventory.Verdict{}, nil
	}
	now := present{Inventory: p, wants: wants}
	if gone {
		now.gone = t
	}
	return p.before.Judge(t, now, force) // The error names the type.
}

// Discard says that the inventory must not be believed.
func (p *Inventory) Discard(err error) {
	types := p.KnownTypes()
	if p.void.Swap(true) {
		return
	}
	p.opts.Log.Error(err, "Inventory of the previous process is not used: nothing is deleted on its evidence")
	p.writer.Settle(types...)
}

// Settle drops what the previous process knew of the types that all receivers are done with.
func (p *Inventory) Settle() {
	for _, t := range p.KnownTypes() {
		if p.writer.Unsettled(t) && (p.done(t) || p.dividedInto(t)) {
			p.writer.Settle(t)
		}
	}
}

// done tells whether all receivers are done with a type.
func (p *Inventory) done(t resource.Type) bool {
	for r := range p.opts.Receivers {
		if !r.Settled(t) {
			return false
		}
	}
	return true
}

// dividedInto tells whether a type is watched in the other division than by the previous process, and all
// receivers are done with the types that are watched in its place: no receiver will ask about its old name.
func (p *Inventory) dividedInto(t resource.Type) bool {
	found := false
	for _, o := range p.opts.Index.Types() {
		if o.Whole() != t.Whole() || (o.Within == "") == (t.Within == "") {
			continue
		}
		if found = true; !p.done(o) {
			return false
		}
	}
	return found
}

// Apply implements [index.Listener].
func (p *Inventory) Apply(c index.Change) {
	if !c.Deleted && !c.Known {
		p.generation.Add(1)
	}
}

// Generation implements [inventory.Source].
func (p *Inventory) Generation() uint64 { return p.generation.Load() }

// Types implements [inventory.Source].
func (p *Inventory) Types() iter.Seq[inventory.TypeSnapshot] {
	return func(yield func(inventory.TypeSnapshot) bool) {
		for _, t := range p.opts.Index.Types() {
			names, stats := p.opts.Index.Snapshot(t)
			if !stats.Listed {
				continue
			}
			known := len(names)
			for r := range p.opts.Receivers { // after the names: a deletion in between is in both
				r.PendingDeletions(t, func(namespace, name string) {
					if namespace != "" {
						name = namespace + "/" + name
					}
					names = append(names, name)
				})
			}
			if len(names) > known {
				slices.Sort(names)
				names = slices.Compact(names)
			}
			if !yield(inventory.TypeSnapshot{Type: t, Version: stats.Version, Names: slices.Values(names)}) {
				return
			}
		}
	}
}

// present is the set of present objects, as one receiver selects them. It implements [inventory.View].
type present struct {
	*Inventory
	wants Wants
	gone  resource.Type // is served no longer; the zero Type for none
}

// State implements [inventory.View].
func (v present) State(t resource.Type) inventory.State {
	if t == v.gone {
		return inventory.State{Gone: true}
	}
	stats := v.opts.Index.Type(t)
	return inventory.State{Listed: stats.Listed, Version: stats.Version}
}

// Has implements [inventory.View].
func (v present) Has(t resource.Type, namespace, name string) bool {
	_, _, ok := v.opts.Index.Get(t, namespace, name)
	return ok
}

// NamespaceGone implements [inventory.View].
func (v present) NamespaceGone(namespace string) bool {
	if namespace == "" {
		return false
	}
	x := v.opts.Index
	for _, t := range x.Types() {
		if t.Group == "" && t.Resource == "namespaces" && x.Type(t).Listed {
			_, _, there := x.Get(t, "", namespace)
			return !there && v.opts.Namespaces.Everything()
		}
	}
	return false
}

// Lost implements [inventory.View].
func (v present) Lost() bool { return v.lost.sure.Load() }

// Watched implements [inventory.View].
func (v present) Watched(t resource.Type, namespace, name string) bool {
	return v.opts.Namespaces.Match(t, namespace, name) && v.wants(t, namespace, name)
}
