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
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// Sink takes the observed changes. Calls for one type never overlap, and come in the order of the watch; calls
// for different types do overlap. A call may block; only the watch of its type waits.
type Sink interface {
	// Replace takes a complete and consistent list of a type as of resourceVersion: an object that is not in rs
	// does not exist. The Sink owns rs, which may be empty. Replace is the first call for each type, and is
	// repeated whenever a watch could not be continued.
	Replace(t resource.Type, rs []resource.Record, resourceVersion uint64)
	// Upsert takes an object that was created or changed.
	Upsert(t resource.Type, r resource.Record)
	// Delete takes an object that was deleted at resourceVersion; namespace is empty for a cluster-scoped object.
	Delete(t resource.Type, namespace, name string, resourceVersion uint64)
	// Leave takes an object that is not selected, whether it exists or was just deleted. It has been reported
	// before only if it was selected then; namespace is empty for a cluster-scoped object.
	Leave(t resource.Type, namespace, name string, resourceVersion uint64)
	// Bookmark says that every change up to resourceVersion has been reported.
	Bookmark(t resource.Type, resourceVersion uint64)
}

// Options of a [Manager]. The zero value is usable: it keeps labels and no annotation, selects everything, and logs
// nothing.
type Options struct {
	// Keep decides which objects are reported, and which of their fields become part of a record.
	Keep resource.Selection
	// Namespaces decides which objects are reported at all.
	Namespaces NamespaceFilter
	// Starts is how many types list at the same time at most; 2 when it is not positive. Compared with all types at
	// once, two at a time halve the peak of memory of a start. They take as long, because one API server answers
	// either way.
	Starts int
	// Large tells that a type may have very many objects. Such a type lists while no other does. Nil means the
	// types with the most objects in most clusters.
	Large func(resource.Type) bool
	// StartTimeout is how long a type may hold its start slot without a complete list; 10 s when it is not
	// positive.
	StartTimeout time.Duration
	// Patience is how long a type may hold its start slot without an answer; 1.5 s when it is not positive. Each
	// type without an answer halves it for later types, down to a tenth of a second. So if 40 types hang, the
	// others start only a few seconds later.
	Patience time.Duration
	// Quiet is how long [Manager.Settled] waits for a first list that brings nothing; 5 s when it is not positive.
	Quiet time.Duration
	// StaleAfter is how long a watch may bring nothing, not even a bookmark, before it is begun again. It is
	// [reflector.Silence] when it is not positive.
	StaleAfter time.Duration
	// Aggregated tells that a type is served by an API of its own, which may keep its objects in memory. Nil
	// means none.
	Aggregated func(resource.Type) bool
	// MayRead asks whether a type, or a slice of one, may be listed and watched. After a refused request, the watch
	// asks before it tries again. If MayRead is nil, it tries again without asking.
	MayRead func(ctx context.Context, t resource.Type) (bool, error)
	// Narrow tells that rights are granted by namespace. Then the watch asks before the first request for a type.
	// Nil means that they are not.
	Narrow func() bool
	// Alone tells that only namespaces may be read. Then a type that is in no namespace is left out, whether it may
	// be read or not. Nil means that other types may be read, too.
	Alone func() bool
	// Streams counts the restarts of watches; nil counts nothing.
	Streams *reflector.Metrics
	// OnSettled, when set, is called once, from a goroutine of Run, after [Manager.Settled] has become true.
	// This is the moment to return the memory of the start to the system.
	OnSettled func()
	// Log gets a message when the set of unreadable types changes, and when all types can be read again.
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
	hung    atomic.Int32 // types that did not answer at their start
	changed wake.Slot    // a watch has entered another phase
	reach   reflector.Reach

	mu       sync.Mutex // guards the fields below; taken before a watcher's own mutex
	ctx      context.Context
	running  sync.WaitGroup
	told     bool // Set has been called
	wanted   map[place]*watcher
	stopping map[place]*watcher
}

// place is what a watch reads: a resource in all namespaces, or in one.
type place struct {
	schema.GroupVersionResource

	namespace string
}

func placeOf(t resource.Type) place { return place{t.GVR(), t.Within} }

// in returns the client for a type, or for a slice of it.
func in(client metadata.Interface, t resource.Type) metadata.ResourceInterface {
	if t.Within != "" {
		return client.Resource(t.GVR()).Namespace(t.Within)
	}
	return client.Resource(t.GVR())
}

// New returns a Manager that wants no type yet. The client must return metadata only.
func New(client metadata.Interface, sink Sink, opts Options) *Manager {
	opts = opts.withDefaults()
	m := &Manager{
		client:   client,
		sink:     sink,
		opts:     opts,
		metrics:  newMetrics(opts.Registerer),
		slots:    semaphore.NewWeighted(int64(opts.Starts)),
		changed:  wake.New(),
		wanted:   map[place]*watcher{},
		stopping: map[place]*watcher{},
	}
	if opts.Registerer != nil {
		opts.Registerer.MustRegister(listedObjects{m})
	}
	return m
}

// Set says which types are wanted. It starts and stops watches as needed and returns at once; a second call with
// the same types does nothing. A type whose kind or scope has changed is started anew. Before Run and after its
// end, Set only notes the types.
//
// A stopped watch deletes nothing. When Set returns, a call to the Sink for a stopped type may still be in
// progress, but no other one begins. [Manager.WaitStopped] waits for the end of that call. A type that is wanted
// again is started after its former watch has ended, so calls of the two never mix.
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
	m.changed.Wake()
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

// Run runs the watches until ctx is done, and returns nil after all of them have ended: no call to the Sink
// comes later. It is called once.
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

// WaitStopped waits for the stopped watch of a type, or of a slice of it. It returns nil once that watch cannot
// call the Sink any more, or ctx's error when ctx is done first. It does not wait for a type that is wanted.
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

// HasSynced tells whether the type is wanted, and has been listed at least once since Set wanted it.
func (m *Manager) HasSynced(t resource.Type) bool {
	m.mu.Lock()
	w := m.wanted[placeOf(t)]
	m.mu.Unlock()
	return w != nil && w.t == t && w.status().Synced()
}

// Settled tells whether Set has been called and every wanted type is settled. A type is settled when it has been
// listed, has failed, has brought nothing for [Options.Quiet], or has been listing for two minutes.
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

// statuses returns the statuses of the types in some phases, sorted by type. Every few seconds it is called for
// phases that no type is in, so it copies no others.
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

// Synced calls f for each type whose watch is well, in no order, with the time of its last list. f must not call
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
