package watch

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Sink takes what is observed. Calls for one type never overlap and come in the order of the watch; calls for
// different types do overlap. A call may block; only the watch of its type waits.
type Sink interface {
	// Replace is a complete and consistent list of a type as of resourceVersion: what is not in rs does not exist. The
	// Sink owns rs. It comes first for each type, and again whenever a watch could not be continued. It may be empty.
	Replace(t resource.Type, rs []resource.Record, resourceVersion uint64)
	// Upsert is an object that was created or changed.
	Upsert(t resource.Type, r resource.Record)
	// Delete is an object that was deleted, at resourceVersion. Namespace is empty for a cluster-scoped object.
	Delete(t resource.Type, namespace, name string, resourceVersion uint64)
	// Leave is an object that is there, or was until now, and is not selected: it has been reported before
	// only if it was selected then. Namespace is empty for a cluster-scoped object.
	Leave(t resource.Type, namespace, name string, resourceVersion uint64)
	// Bookmark says that everything up to resourceVersion has been reported.
	Bookmark(t resource.Type, resourceVersion uint64)
}

// Options of a [Manager]. The zero value is usable: it keeps labels and no annotation, selects everything, and logs
// nothing.
type Options struct {
	// Keep decides which objects are reported, and what of them becomes slice of a record.
	Keep resource.Selection
	// Namespaces decides which objects are reported at all.
	Namespaces NamespaceFilter
	// Starts is how many types list at the same time at most; 2 when it is not positive. Two types at a time halve the
	// peak of memory of a start against all at once, and take as long, because one API server answers either way.
	Starts int
	// Large tells that a type may have very many objects. It lists while no other does. Nil means the types
	// that are the most numerous of most clusters.
	Large func(resource.Type) bool
	// StartTimeout is how long a type may hold its start slot without having been listed; 10 s when it is not positive.
	StartTimeout time.Duration
	// Patience is how long a type may hold its start slot without an answer; 1.5 s when it is not positive.
	// Each type that has not answered halves it for those that come, down to a tenth of a second: where 40
	// hang, the others start a few seconds later.
	Patience time.Duration
	// Quiet is how long nothing may come of a first list until nobody waits for it any more; 5 s when it is
	// not positive.
	Quiet time.Duration
	// StaleAfter is how long a watch may bring nothing, not even a bookmark, before it is begun again;
	// [reflector.Silence] when it is not positive.
	StaleAfter time.Duration
	// Aggregated tells that a type is served by an API of its own, which may keep its objects in memory. Nil
	// means none.
	Aggregated func(resource.Type) bool
	// MayRead asks whether a type, or a slice of one, may be listed and watched. What was refused is asked
	// about before it is tried again. Nil asks nobody, and has everything tried again.
	MayRead func(ctx context.Context, t resource.Type) (bool, error)
	// Narrow tells that rights are given by namespace: whether a type may be read is asked before the first
	// request. Nil means that they are not.
	Narrow func() bool
	// Alone tells that namespaces are all there is to be read: a type that is in none is left out, whether it
	// may be read or not. Nil means that they are not.
	Alone func() bool
	// Streams count what becomes of the watches; nil counts nothing.
	Streams *reflector.Metrics
	// OnSettled, when set, is called once, from a goroutine of Run, after [Manager.Settled] has become true.
	// This is the moment to return the memory of the start to the system.
	OnSettled func()
	// Log is told about edges: that some types cannot be read, and that all can be again.
	Log logr.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.Starts <= 0 {
		o.Starts = 2
	}
	if o.Large == nil {
		o.Large = usuallyLarge
	}
	if o.StartTimeout <= 0 {
		o.StartTimeout = 10 * time.Second
	}
	if o.Patience <= 0 {
		o.Patience = 1500 * time.Millisecond
	}
	if o.Quiet <= 0 {
		o.Quiet = 5 * time.Second
	}
	if o.Narrow == nil {
		o.Narrow = func() bool { return false }
	}
	if o.Alone == nil {
		o.Alone = func() bool { return false }
	}
	if o.StaleAfter <= 0 {
		o.StaleAfter = reflector.Silence
	}
	return o
}

// listTimeout bounds one request of a list.
func (o Options) listTimeout() time.Duration { return min(o.StaleAfter, reflector.ListTimeout) }

func usuallyLarge(t resource.Type) bool {
	switch t.GroupResource() {
	case "pods", "configmaps", "secrets", "events", "replicasets.apps":
		return true
	default:
		return false
	}
}

// Manager runs one watch for each wanted type. Make one with [New].
type Manager struct {
	client  metadata.Interface
	sink    Sink
	opts    Options
	metrics *metrics
	slots   *semaphore.Weighted
	hung    atomic.Int32  // types that did not answer when they were to start
	changed chan struct{} // one slot: some watch entered another phase
	reach   reflector.Reach

	mu       sync.Mutex // guards what follows; taken before a watcher's own mutex
	ctx      context.Context
	running  sync.WaitGroup
	told     bool // Set has been called
	wanted   map[place]*watcher
	stopping map[place]*watcher
}

// place is where a watch looks: at a resource, or at what of it is in one namespace.
type place struct {
	schema.GroupVersionResource

	namespace string
}

func placeOf(t resource.Type) place { return place{t.GVR(), t.Within} }

// in returns the requests for a type, or for a slice of it.
func in(client metadata.Interface, t resource.Type) metadata.ResourceInterface {
	if t.Within != "" {
		return client.Resource(t.GVR()).Namespace(t.Within)
	}
	return client.Resource(t.GVR())
}

// New returns a Manager that wants no type yet. The client must be one of metadata only.
func New(client metadata.Interface, sink Sink, opts Options) *Manager {
	opts = opts.withDefaults()
	m := &Manager{
		client:   client,
		sink:     sink,
		opts:     opts,
		metrics:  newMetrics(opts.Registerer),
		slots:    semaphore.NewWeighted(int64(opts.Starts)),
		changed:  make(chan struct{}, 1),
		wanted:   map[place]*watcher{},
		stopping: map[place]*watcher{},
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(listedObjects{m})
	}
	return m
}

// Set says which types are wanted. It starts and stops watches as needed and returns at once; a second call with the
// same types does nothing. A type whose kind or scope has changed is started anew. Before Run and after its
// end Set only takes note.
//
// A stopped watch deletes nothing. When Set returns, a call to the Sink for a type that was taken out may still be in
// progress; no other one begins. [Manager.WaitStopped] waits for its end. A type that is wanted again is not started
// before its former watch has ended, so calls of the two never mix.
func (m *Manager) Set(types []resource.Type) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told = true
	keep := make(map[place]resource.Type, len(types))
	for _, t := range types {
		keep[placeOf(t)] = t
	}
	for at, w := range m.wanted {
		if t, ok := keep[at]; ok && t == w.t {
			delete(keep, at)
			continue
		}
		m.stop(at, w)
	}
	for at, t := range keep {
		w := newWatcher(m, t, m.stopping[at])
		m.wanted[at] = w
		if m.ctx != nil {
			m.start(w)
		}
	}
	m.wake()
}

// stop ends a wanted watch. The caller holds m.mu.
func (m *Manager) stop(at place, w *watcher) {
	delete(m.wanted, at)
	if w.stop() {
		m.stopping[at] = w
	}
}

// start begins a watch. The caller holds m.mu. The goroutine ends with the watcher's context; Run waits for it.
func (m *Manager) start(w *watcher) {
	ctx := w.begin(m.ctx)
	m.running.Go(func() {
		w.run(ctx)
		m.forget(w)
	})
}

// forget drops a watch that has ended after it was stopped.
func (m *Manager) forget(w *watcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at := placeOf(w.t); m.stopping[at] == w {
		delete(m.stopping, at)
	}
}

// Run runs the watches until ctx is done and returns nil after all of them have ended: no call to the Sink comes later.
// It is called once.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	for _, w := range m.wanted {
		m.start(w)
	}
	m.mu.Unlock()

	m.report(ctx)

	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// WaitStopped returns nil once no watch of that GVR, or of that slice of it, that Set has stopped can call
// the Sink any more, and ctx's error when ctx is done before. It does not wait for a type that is wanted.
func (m *Manager) WaitStopped(ctx context.Context, t resource.Type) error {
	m.mu.Lock()
	w := m.stopping[placeOf(t)]
	m.mu.Unlock()
	if w == nil {
		return nil
	}
	select {
	case <-w.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// HasSynced tells whether the type is wanted and has been listed at least once since it was.
func (m *Manager) HasSynced(t resource.Type) bool {
	m.mu.Lock()
	w := m.wanted[placeOf(t)]
	m.mu.Unlock()
	return w != nil && w.t == t && w.status().Synced()
}

// Settled tells whether Set has been called and every wanted type has been listed once, has failed at least once, or is
// waited for no more, because nothing came for [Options.Quiet] or the list takes more than two minutes.
func (m *Manager) Settled() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.told {
		return false
	}
	for _, w := range m.wanted {
		if !w.settled() {
			return false
		}
	}
	return true
}

// Status returns one entry for each wanted type, sorted by type.
func (m *Manager) Status() []Status { return m.statuses(func(Phase) bool { return true }) }

// statuses returns those of the types in some phases, sorted by type: most of them are asked for every few seconds, and
// there are none.
func (m *Manager) statuses(of func(Phase) bool) []Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []Status{}
	for _, w := range m.wanted {
		if s := w.status(); of(s.Phase) {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return resource.CompareTypes(a.Type, b.Type) })
	return all
}

// Len returns how many types are wanted.
func (m *Manager) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.wanted)
}

// Synced calls f for each type whose watch is well, in no order, with the time of its last list. F must not call
// the Manager.
func (m *Manager) Synced(f func(t resource.Type, listed time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.wanted {
		if s := w.status(); s.Phase == Synced {
			f(w.t, s.ListedAt)
		}
	}
}

func (m *Manager) wake() {
	select {
	case m.changed <- struct{}{}:
	default:
	}
}
