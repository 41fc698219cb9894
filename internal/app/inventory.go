package app

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// memory is what this replica remembers of its earlier life, and what it writes down for the next. A nil memory
// remembers nothing and writes nothing.
type memory struct {
	before     *inventory.Inventory // nil: none, or none that may be believed
	writer     *inventory.Writer
	index      *index.Index
	targets    *targets
	namespaces watch.NamespaceFilter
	log        logr.Logger
	generation atomic.Uint64
	void       atomic.Bool // before is not to be believed after all
	lost       atomic.Bool // before is of a time that was lost with the API server's database, or may be

	mu     sync.Mutex // guards what follows
	behind time.Time  // since when the API server seems to be behind before; zero for not
	core   bool       // a type was behind that is kept in the cluster's own database for sure
}

// newMemory opens the inventory in STATE_DIR. Whatever is wrong with it is logged, and the replica goes on
// without: what cannot be remembered is never a reason to delete, nor to stand still.
func newMemory(cfg config.Config, cluster string, x *index.Index, all *targets, log logr.Logger, reg prometheus.Registerer) *memory {
	if cfg.StateDir == "" {
		return nil
	}
	log = log.WithValues("directory", cfg.StateDir)
	m := &memory{
		index: x, targets: all, log: log,
		namespaces: watch.NamespaceFilter{Include: cfg.WatchNamespaces, Exclude: cfg.ExcludeNamespaces},
	}
	meta := inventory.Meta{Cluster: cluster, Ring: cfg.RingName}
	var err error
	m.before, err = inventory.Open(cfg.StateDir, meta, inventory.Limits{})
	switch {
	case err == nil:
		log.Info("Inventory of an earlier life found", "types", len(m.before.Types()), "bytes", m.before.Bytes())
	case errors.Is(err, fs.ErrNotExist):
		log.Info("No inventory of an earlier life; this one begins it")
	default:
		log.Error(err, "Inventory of an earlier life is left out: nothing is deleted by its word")
	}
	m.writer, err = inventory.NewWriter(cfg.StateDir, meta, m, inventory.WriterOptions{Before: m.before, Log: log, Registerer: reg})
	if err != nil {
		log.Error(err, "No inventory is kept; deletions that happen while no replica runs may be missed")
		return nil // Before is nil, for the same reason.
	}
	for _, t := range m.types() {
		if !cfg.Types.Match(t) {
			m.writer.Settle(t)
		}
	}
	x.Listen(m) // for as long as there is an index
	return m
}

// run keeps the inventory until ctx ends, and writes it once more then.
func (m *memory) run(ctx context.Context) error {
	if m == nil {
		return nil
	}
	return m.writer.Run(ctx) // It never fails.
}

// types are those of the earlier life.
func (m *memory) types() []resource.Type {
	if m == nil || m.before == nil || m.void.Load() {
		return nil
	}
	var types []resource.Type
	for _, info := range m.before.Types() {
		types = append(types, info.Type)
	}
	return types
}

// has tells whether the earlier life knew a type.
func (m *memory) has(t resource.Type) bool { return slices.Contains(m.types(), t) }

// judge compares what the earlier life knew of a type with what there is, as far as wants says; force passes
// the guard. It is [inventory.Unknown] where nothing can be said.
func (m *memory) judge(t resource.Type, wants func(t resource.Type, namespace, name string) bool, force bool) (inventory.Verdict, error) {
	if !m.has(t) {
		return inventory.Verdict{}, nil
	}
	return m.before.Judge(t, view{memory: m, wants: wants}, force) // It says what it was doing.
}

// judgeGone is judge of a type that is proven to be served no longer.
func (m *memory) judgeGone(t resource.Type, wants func(t resource.Type, namespace, name string) bool, force bool) (inventory.Verdict, error) {
	if !m.has(t) {
		return inventory.Verdict{}, nil
	}
	return m.before.Judge(t, view{memory: m, wants: wants, gone: t}, force) // It says what it was doing.
}

// discard says that the inventory of the earlier life is not to be believed.
func (m *memory) discard(err error) {
	types := m.types()
	if m.void.Swap(true) {
		return
	}
	m.log.Error(err, "Inventory of an earlier life is left out: nothing is deleted by its word")
	m.writer.Settle(types...)
}

// settle lets go of what the earlier life knew of the types that all receivers are done with.
func (m *memory) settle() {
	for _, t := range m.types() {
		if !m.writer.Unsettled(t) {
			continue
		}
		done := func(t resource.Type) bool {
			return !slices.ContainsFunc(m.targets.all(), func(o *target) bool { return !o.finder.settled(t) })
		}
		if done(t) || m.dividedInto(t, done) {
			m.writer.Settle(t)
		}
	}
}

// dividedInto tells whether a type is watched in the other division than in the earlier life, and
// all that is watched in its place is done: what the earlier life knew under its name, nobody will
// ask about.
func (m *memory) dividedInto(t resource.Type, done func(resource.Type) bool) bool {
	found := false
	for _, o := range m.index.Types() {
		if o.Whole() != t.Whole() || (o.Within == "") == (t.Within == "") {
			continue
		}
		if found = true; !done(o) {
			return false
		}
	}
	return found
}

// Apply implements [index.Listener].
func (m *memory) Apply(c index.Change) {
	if !c.Deleted && !c.Known {
		m.generation.Add(1)
	}
}

// Generation implements [inventory.Source].
func (m *memory) Generation() uint64 { return m.generation.Load() }

// Types implements [inventory.Source].
func (m *memory) Types() iter.Seq[inventory.TypeSnapshot] {
	return func(yield func(inventory.TypeSnapshot) bool) {
		for _, t := range m.index.Types() {
			names, stats := m.index.Snapshot(t)
			if !stats.Listed {
				continue
			}
			known := len(names)
			for _, each := range m.targets.all() { // after the names: a deletion in between is in both
				each.pipeline.PendingDeletions(t, func(namespace, name string) {
					names = append(names, joined(namespace, name))
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

func joined(namespace, name string) string {
	if namespace == "" {
		return name
	}
	return namespace + "/" + name
}

// view is the present as one receiver is to have it. It implements [inventory.View].
type view struct {
	*memory
	wants func(t resource.Type, namespace, name string) bool
	gone  resource.Type // is served no longer; the zero Type for none
}

// State implements [inventory.View].
func (v view) State(t resource.Type) inventory.State {
	if t == v.gone {
		return inventory.State{Gone: true}
	}
	stats := v.index.Type(t)
	return inventory.State{Listed: stats.Listed, Version: stats.Version}
}

// Has implements [inventory.View].
func (v view) Has(t resource.Type, namespace, name string) bool {
	_, _, ok := v.index.Get(t, namespace, name)
	return ok
}

// NamespaceGone implements [inventory.View].
func (v view) NamespaceGone(namespace string) bool {
	if namespace == "" {
		return false
	}
	for _, t := range v.index.Types() {
		if t.Group == "" && t.Resource == "namespaces" && v.index.Type(t).Listed {
			_, _, there := v.index.Get(t, "", namespace)
			return !there && v.namespaces.Everything()
		}
	}
	return false
}

// Lost implements [inventory.View].
func (v view) Lost() bool { return v.lost.Load() }

// Watched implements [inventory.View].
func (v view) Watched(t resource.Type, namespace, name string) bool {
	return v.namespaces.Match(t, namespace, name) && v.wants(t, namespace, name)
}

// lagPatience is how long an API server may seem to be behind the inventory before the inventory counts as one of a
// time that was lost: a cache of an API server lags by seconds, and a restored etcd until it has written as much again.
const lagPatience = time.Minute

// ofALostTime tells, once that is clear, whether the API server was behind the inventory: its database was
// restored from a backup. The checkpoints went back with it, so that the API server's history tells nothing
// of what was lost.
func (m *memory) ofALostTime(now time.Time) bool {
	if m == nil || m.before == nil || m.void.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	err := m.before.Check(view{memory: m})
	m.core = m.core || err != nil && m.coreIsBehind()
	switch {
	case m.lost.Load():
		return true
	case err != nil && m.behind.IsZero():
		m.behind = now
		return false
	case m.behind.IsZero() || err != nil && now.Sub(m.behind) < lagPatience:
		return false
	}
	m.lost.Store(true)
	m.log.Info("The API server was behind the inventory of an earlier life, as after a restore; what the inventory knew and is not there is deleted within the guard",
		"everythingIsSentAgain", m.core)
	return true
}

// coreIsBehind tells whether a type of the core group is behind the inventory. Others may be of an aggregated API that
// began anew, which says nothing of the rest; Events may have a database of their own.
func (m *memory) coreIsBehind() bool {
	return slices.ContainsFunc(m.before.Types(), func(info inventory.TypeInfo) bool {
		return info.Type.Group == "" && info.Type.Resource != "events" && info.IsAheadOf(view{memory: m}.State(info.Type))
	})
}

// clusterWentBack tells whether it has become clear that the inventory is of a time that was lost, and not only to an
// aggregated API.
func (m *memory) clusterWentBack() bool {
	if m == nil || !m.lost.Load() {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.core
}

// consult asks the inventory about a type that the API server's history does not tell of. The caller does not hold mu.
func (f *finder) consult(t resource.Type, l *look, now time.Time) {
	v, err := f.memory.judge(t, f.wants, false)
	if errors.Is(err, inventory.ErrBackwards) { // It becomes clear within a minute whether it is of a lost time.
		f.mu.Lock()
		defer f.mu.Unlock()
		l.expired, l.retry = true, now.Add(searchPause)
		return
	}
	f.apply(t, l, v, err)
}

// consultAgain has the inventory consulted of all types that it knows, whatever else has told of them.
func (f *finder) consultAgain(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.restored {
		return
	}
	f.restored = true
	for _, t := range f.memory.types() {
		if l := f.enter(t, now); l != nil && !l.gone {
			l.state, l.expired, l.retry, l.listed = pending, true, time.Time{}, math.MaxUint64 // No peer knows of it.
		}
	}
}

// consultGone asks the inventory about a type that is served no longer: nothing else can tell of it.
func (f *finder) consultGone(t resource.Type, now time.Time) {
	if !f.memory.has(t) {
		return
	}
	f.mu.Lock()
	l := f.looks[t]
	if l == nil {
		l = &look{begun: now}
		f.looks[t] = l
	}
	l.gone = true
	looked := l.state != pending
	f.mu.Unlock()
	if looked {
		return // What it knew was looked for while the type was served.
	}
	v, err := f.memory.judgeGone(t, f.wants, false)
	f.apply(t, l, v, err)
}

// lookForGone says of the types that checkpoints speak of, that are served no longer, and that no inventory knows, that
// nothing is known of their documents. It says so once, for one life.
func (f *finder) lookForGone() {
	types, sure := f.served()
	if !sure || !f.hasUnseen() {
		return
	}
	here := make(map[string]bool)
	for _, t := range slices.Concat(types, f.index.Types(), f.memory.types()) {
		here[t.Whole().String()] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.past.Versions {
		t, ok := resource.ParseType(name)
		if !ok || here[t.Whole().String()] || f.looks[t] != nil || !f.selected(t) || !f.wants(t, "", "") {
			continue
		}
		f.looks[t] = &look{gone: true, state: unknown}
		f.setUnknown(t)
	}
}

// hasUnseen tells whether checkpoints speak of a type that has not been looked at.
func (f *finder) hasUnseen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.past.Versions) == 0 {
		return false
	}
	looked := make(map[string]bool, len(f.looks))
	for t := range f.looks {
		looked[t.String()] = true
	}
	for name := range f.past.Versions {
		if !looked[name] {
			return true
		}
	}
	return false
}

// apply has deleted what the inventory says is gone. The caller does not hold mu.
func (f *finder) apply(t resource.Type, l *look, v inventory.Verdict, err error) {
	if err != nil {
		f.memory.discard(err)
		v = inventory.Verdict{}
	}
	n, at := 0, max(f.index.Type(t).Since, v.Info.Version+1)
	for _, o := range v.Deleted {
		if f.missing(t, o.Namespace, o.Name, v.Info.Version, at) {
			n++
		}
	}
	f.count(fromInventory, n)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case v.Status == inventory.Guarded:
		l.expired, l.state = true, held
		f.held[t] = waiting{Resource: t.String(), Source: fromInventory, Documents: v.Missing, Limit: v.Limit}
		f.log.Info("More objects are missing than may be deleted without a person's word; their documents stay until a resync with force",
			"resource", t.String(), "missing", v.Missing, "limit", v.Limit, "known", v.Info.Objects)
		f.report()
	case v.Status == inventory.Unknown && (len(l.versions) > 0 || f.past.OpaqueOf(t.String())):
		l.state = unknown
		f.setUnknown(t)
	default:
		l.state = compared
	}
}

// isGone tells whether a type is known to be served no longer, and is not served again.
func (f *finder) isGone(t resource.Type) bool {
	f.mu.Lock()
	l := f.looks[t]
	gone := l != nil && l.gone
	f.mu.Unlock()
	return gone && f.index.Type(t) == index.Stats{}
}

// settled tells whether nothing of a type has to be looked for any more.
func (f *finder) settled(t resource.Type) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.looks[t]
	return l != nil && l.state.done()
}
