package watch

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// watcher is the watch of one type, from the moment the type is wanted until it is not wanted any more.
type watcher struct {
	m       *Manager
	t       resource.Type
	former  *watcher // the former watcher of the same place; must have ended before this one begins
	cancel  context.CancelFunc
	stopped atomic.Bool
	done    chan struct{} // closed after the last call to the Sink

	mu sync.Mutex // guards the fields below
	st Status
	// round is the running round, or the last one; nil before the first.
	round *round
	// release gives the start slot back; nil without a slot.
	release func()
	// late says that the first list has taken too long.
	late bool
	// doubt is the doubt about the last lists.
	doubt doubt
	// disorder paces the lists that events out of order lead to.
	disorder pace
	// asked says that the API server has been asked for the right; denied says that a request, or the right, was
	// refused since.
	asked, denied bool
}

// newWatcher returns a watcher that is Waiting; former is nil or a stopped watcher of the same place.
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

// stop ends the watch without waiting, and tells whether its goroutine has still to end. After stop, no call to
// the Sink begins.
func (w *watcher) stop() bool {
	w.stopped.Store(true)
	if w.cancel == nil { // the watch never ran
		w.enter(Stopped)
		close(w.done)
		return false
	}
	w.cancel()
	return true
}

// run waits for a turn and watches until ctx is done. Its frame stays on the goroutine's stack for good: see
// [reflector.Follower.Run].
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

// turn waits until the watcher may list, and returns false when ctx ends first.
//
//go:noinline
func (w *watcher) turn(ctx context.Context) bool {
	if w.former != nil {
		<-w.former.done // the former watcher has been stopped, so it ends soon
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

// over notes the end of the watch.
//
//go:noinline
func (w *watcher) over() {
	w.free()
	w.doubtless()
	w.enter(Stopped)
	w.cancel()
	close(w.done)
}

// doubtless cancels the lists that doubt and disorder have scheduled.
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

// listing notes the beginning of the first list, which holds start slots.
func (w *watcher) listing(slots int64) {
	w.mu.Lock()
	w.release = func() { w.m.slots.Release(slots) }
	w.mu.Unlock()
	w.enter(Listing)
}

// free gives the start slot back, if the watcher still holds it.
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

// reached notes a version that was reported, so the watch goes on. Events of one type come in the order of their
// versions. If one does not, another event has overtaken it, perhaps the deletion of its object, or versions
// have begun anew. Then the type is listed again.
func (w *watcher) reached(version uint64) {
	w.mu.Lock()
	if version != 0 && version < w.st.ResourceVersion {
		w.disorder.next(func() { w.again() })
	}
	w.st.ResourceVersion = max(w.st.ResourceVersion, version)
	w.mu.Unlock()
	w.recovered()
}

// recovered notes that the watch goes on. Before the first complete list, it has no effect.
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
	w.st.ResourceVersion = version // without max, because it decreases after a restore of etcd
	w.mu.Unlock()
	w.enter(Synced)
	w.free()
}

// fail notes an error, except after stop.
func (w *watcher) fail(err error) { w.failedInto(Failing, err) }

// failedInto does the same as fail, and enters phase p.
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

// restarted notes a watch that was ended because nothing came.
func (w *watcher) restarted(cause string) {
	w.m.metrics.restarts.WithLabelValues(cause).Inc()
	w.mu.Lock()
	w.st.Restarts++
	w.mu.Unlock()
	w.m.opts.Log.V(1).Info("Watch was silent and is begun again", "resource", w.t.String(), "cause", cause)
}

// enter moves to another phase. Stopped is final.
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
	w.m.changed.Wake()
}
