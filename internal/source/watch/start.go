package watch

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

const (
	// leastPatience is the least time for which a type may be silent before the next one starts beside it.
	leastPatience = 100 * time.Millisecond
	// slowest is the longest time for which [Manager.Settled] waits for a first list that goes on.
	slowest = 2 * time.Minute
)

// attend lets other types start when the first list of a type takes long, and bounds how long [Manager.Settled]
// waits for that list. It returns a function that ends its goroutine.
//
//	begun ──▶ no answer within the patience ──▶ its slot is given back
//	  │   ──▶ not listed within StartTimeout ──▶ its slot is given back
//	  └───▶ nothing for Quiet, or two minutes ─▶ Settled ignores it; without any answer it has failed
func (w *watcher) attend() (end func()) {
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() { // ends when Settled does not wait any more, or with end, which waits for it
		defer close(done)
		w.await(stop)
	}()
	return func() {
		close(stop)
		<-done
	}
}

// await returns when the first list has taken too long, or when stop is closed.
func (w *watcher) await(stop <-chan struct{}) {
	began := time.Now()
	patience := time.AfterFunc(w.m.patience(), func() {
		if w.silentFor(began) > 0 {
			w.m.hung.Add(1)
			w.free()
		}
	})
	defer patience.Stop()
	late := time.AfterFunc(w.m.opts.StartTimeout, w.free)
	defer late.Stop()
	quiet := time.NewTimer(w.m.opts.Quiet)
	defer quiet.Stop()
	for {
		select {
		case <-stop:
			return
		case <-quiet.C:
		}
		more := w.m.opts.Quiet - w.quietFor(began)
		if more <= 0 || time.Since(began) >= slowest {
			w.waitNoMore(began)
			return
		}
		quiet.Reset(more)
	}
}

// patience returns how long the next type may be silent.
func (m *Manager) patience() time.Duration {
	return max(m.opts.Patience>>min(m.hung.Load(), 16), min(m.opts.Patience, leastPatience))
}

// silentFor returns for how long the first list of a type has had no answer at all; 0 if it has one.
func (w *watcher) silentFor(began time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.st.Phase != Listing || !w.st.LastActivity.IsZero() {
		return 0
	}
	return time.Since(began)
}

// quietFor returns the time since the last activity.
func (w *watcher) quietFor(began time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.st.LastActivity.After(began) {
		began = w.st.LastActivity
	}
	return time.Since(began)
}

// waitNoMore notes that the first list has taken too long. Without any answer, the type has failed.
func (w *watcher) waitNoMore(began time.Time) {
	if w.silentFor(began) > 0 {
		w.fail(reflector.ErrSilent)
	}
	w.mu.Lock()
	w.late = true
	w.mu.Unlock()
	w.free()
	w.m.changed.Wake()
}

// settled tells whether [Manager.Settled] need not wait for the type.
func (w *watcher) settled() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.st.Synced() || w.st.Failures > 0 || w.late
}
