package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// watcher is the watch of one type from the moment it is wanted until it is not.
type watcher struct {
	m       *Manager
	t       resource.Type
	former  *watcher // of the same place; must have ended before this one begins
	cancel  context.CancelFunc
	stopped atomic.Bool
	done    chan struct{} // closed when the Sink is called no more

	mu sync.Mutex // guards what follows
	st Status
	// round is the Reflector that runs, or ran last; nil before the first.
	round *round
	// release gives the start slot back; nil when none is held.
	release func()
	// late says that nobody waits for the first list any more.
	late bool
	// doubt is what is held against the last lists.
	doubt doubt
	// disorder paces the lists that events out of order lead to.
	disorder pace
	// asked says that its rights have been asked about, denied that a request was refused since.
	asked, denied bool
}

// newWatcher returns a watcher that is Waiting. Former is nil or a watcher of the same place that was stopped.
func newWatcher(m *Manager, t resource.Type, former *watcher) *watcher {
	m.metrics.types.WithLabelValues(Waiting.String()).Inc()
	return &watcher{
		m: m, t: t, former: former,
		done: make(chan struct{}),
		st:   Status{Type: t, Phase: Waiting, Since: time.Now()},
	}
}

// begin makes the context that stop ends. It is called at most once, and before run.
func (w *watcher) begin(parent context.Context) context.Context {
	ctx, cancel := context.WithCancel(parent)
	w.cancel = cancel
	return ctx
}

// stop ends the watch without waiting, and tells whether there is an end to wait for. No call to the Sink begins after
// it.
func (w *watcher) stop() bool {
	w.stopped.Store(true)
	if w.cancel == nil { // it never ran
		w.enter(Stopped)
		close(w.done)
		return false
	}
	w.cancel()
	return true
}

// run waits for a turn and watches until ctx is done. Its frame is part of the goroutine for good: see [reflector.New].
func (w *watcher) run(ctx context.Context) {
	defer w.over()
	if !w.turn(ctx) {
		return
	}
	defer w.attend()()
	for ctx.Err() == nil {
		w.nextRound(ctx).run()
	}
}

// turn waits until it may list, and returns false when ctx ends before.
//
//go:noinline
func (w *watcher) turn(ctx context.Context) bool {
	if w.former != nil {
		<-w.former.done // it has been stopped, and stops whatever it waits for
		w.former = nil
	}
	slots := int64(1)
	if w.m.opts.Large(w.t) {
		slots = int64(w.m.opts.Starts)
	}
	if w.m.slots.Acquire(ctx, slots) != nil {
		return false
	}
	w.listing(slots)
	return true
}

// over notes the end.
//
//go:noinline
func (w *watcher) over() {
	w.free()
	w.doubtless()
	w.enter(Stopped)
	w.cancel()
	close(w.done)
}

// doubtless has nothing listed again for a doubt.
func (w *watcher) doubtless() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.doubt.end()
	w.disorder.end()
}

// match tells whether a record is reported.
func (w *watcher) match(r resource.Record) bool {
	return w.m.opts.Namespaces.Match(w.t, r.Namespace, r.Name)
}

// status returns a copy of the status.
func (w *watcher) status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.st
}

// listing marks the beginning of the first list, which holds start slots.
func (w *watcher) listing(slots int64) {
	w.mu.Lock()
	w.release = func() { w.m.slots.Release(slots) }
	w.mu.Unlock()
	w.enter(Listing)
}

// free gives the start slot back, if it is still held.
func (w *watcher) free() {
	w.mu.Lock()
	release := w.release
	w.release = nil
	w.mu.Unlock()
	if release != nil {
		release()
	}
}

// active notes that the server has sent something.
func (w *watcher) active() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.st.LastActivity = time.Now()
}

// reached notes a version that was reported, hence that the watch goes on. Events of one type come in the
// order of their versions. One that does not has been overtaken on its way, perhaps by the deletion of its
// object, or versions have begun anew: the type is listed again.
func (w *watcher) reached(version uint64) {
	w.mu.Lock()
	if version != 0 && version < w.st.ResourceVersion {
		w.disorder.next(func() { w.again() })
	}
	w.st.ResourceVersion = max(w.st.ResourceVersion, version)
	w.mu.Unlock()
	w.recovered()
}

// recovered notes that the watch goes on. Before the first complete list it changes nothing.
func (w *watcher) recovered() {
	if s := w.status(); s.Phase == Failing && s.Synced() {
		w.enter(Synced)
	}
}

// listed notes a complete list that was reported.
func (w *watcher) listed(n int, version uint64) {
	w.mu.Lock()
	w.st.Lists++
	w.st.Listed = n
	w.st.ListedAt = time.Now()
	w.st.LastActivity = w.st.ListedAt
	w.st.ResourceVersion = version // not the greater of two: after a restored etcd it goes backwards
	w.mu.Unlock()
	w.enter(Synced)
	w.free()
}

// fail notes an error. One that comes because the watch is being stopped is none.
func (w *watcher) fail(err error) { w.failedInto(Failing, err) }

// failedInto is fail, into a phase.
func (w *watcher) failedInto(p Phase, err error) {
	if w.stopped.Load() {
		return
	}
	w.mu.Lock()
	w.st.Err, w.st.FailedAt, w.st.Reason = err, time.Now(), ReasonFor(err)
	w.st.Failures++
	w.mu.Unlock()
	w.m.opts.Log.V(1).Info("Resource cannot be read", "resource", w.t.String(), "reason", ReasonFor(err), "err", err.Error())
	w.enter(p)
	w.free()
}

// restarted notes a watch that was given up because nothing came.
func (w *watcher) restarted(cause string) {
	w.m.metrics.restarts.WithLabelValues(cause).Inc()
	w.mu.Lock()
	w.st.Restarts++
	w.mu.Unlock()
	w.m.opts.Log.V(1).Info("Watch was silent and is begun again", "resource", w.t.String(), "cause", cause)
}

// enter moves to another phase. Nothing leads out of Stopped.
func (w *watcher) enter(p Phase) {
	w.mu.Lock()
	from := w.st.Phase
	if from == Stopped || from == p && p != Failing || from == Unreadable && p == Failing {
		w.mu.Unlock()
		return
	}
	w.m.metrics.entered(w.t, from, p, w.st.Reason)
	if from != p {
		w.st.Phase, w.st.Since = p, time.Now()
	}
	w.mu.Unlock()
	w.m.wake()
}
