package watch

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// ErrNotWatched says that a type is not wanted, or has not begun to list.
var ErrNotWatched = errors.New("type is not watched")

// round is one Follower of a watcher, from its list on. A type that is to be listed again gets a new Follower.
// It knows no version, so its list is a consistent one; the old Follower would list from its last version.
//
//	listing ──▶ following ──▶ ended, by Relist or with the watcher
//	    └────────────────────────▲
type round struct {
	w        *watcher
	ctx      context.Context // It ends with the round; set by nextRound.
	cancel   context.CancelFunc
	requests reflector.Requests // lists, and watches until their end
	listed   chan struct{}      // closed once its list has been handed to the Sink
	next     *round             // the round that follows; guarded by the watcher's mu
}

func newRound(w *watcher) *round { return &round{w: w, listed: make(chan struct{})} }

// nextRound begins the watcher's next round, which ends with ctx.
func (w *watcher) nextRound(ctx context.Context) *round {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := newRound(w)
	if w.round != nil && w.round.next != nil {
		r = w.round.next
	}
	r.ctx, r.cancel = context.WithCancel(ctx)
	w.round = r
	return r
}

// again ends the running round, if its list is complete, and returns the round with the next list. It returns
// nil before the first round.
func (w *watcher) again() *round {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.round
	if r == nil || !r.hasListed() {
		return r
	}
	if r.next == nil {
		w.m.metrics.relists.Inc()
		r.next = newRound(w)
		r.cancel()
	}
	return r.next
}

// run lists and follows until the round ends. After it has returned, the round does not call the Sink.
func (r *round) run() {
	defer r.cancel()
	r.follower().Run(r.ctx)
	r.requests.End()
}

// follower makes the Follower of the round.
//
//go:noinline // or its frame would be one of the goroutine for good: see [reflector.Follower.Run]
func (r *round) follower() *reflector.Follower {
	w := r.w
	requester := &requester{w: w, requests: &r.requests, client: in(w.m.client, w.t)}
	return reflector.NewFollower(w.t.String(), requester, &store{w: w, round: r}, reflector.FollowerOptions{
		Client: w.m.client, Reach: &w.m.reach, Log: w.m.opts.Log,
	})
}

// hasBeenListed notes that a list has been handed to the Sink: the round's first list, or a later one after a
// version has expired. Only the round's goroutine calls it.
func (r *round) hasBeenListed() {
	if !r.hasListed() {
		close(r.listed)
	}
}

// hasListed tells whether a list has been handed to the Sink.
func (r *round) hasListed() bool {
	select {
	case <-r.listed:
		return true
	default:
		return false
	}
}

// Relist lists a type anew, consistently, and goes on watching from there. It returns nil once the list has been
// handed to the Sink, [ErrNotWatched] when the type is not wanted, or ctx's error. The list contains the changes
// that the watch would have brought meanwhile. While a list of the type is under way, Relist waits for that
// list.
//
// After a failed list, the type is [Failing], and is tried again like any other. The Sink gets no call.
func (m *Manager) Relist(ctx context.Context, t resource.Type) error {
	m.mu.Lock()
	w := m.wanted[placeOf(t)]
	m.mu.Unlock()
	if w == nil || w.t != t {
		return ErrNotWatched
	}
	r := w.again()
	if r == nil {
		return ErrNotWatched // the type waits for its turn to be listed
	}
	select {
	case <-r.listed:
		return nil
	case <-w.done:
		return ErrNotWatched
	case <-ctx.Done():
		return ctx.Err()
	}
}

// atOnce is how many types RelistBefore lists at the same time.
const atOnce = 4

// RelistBefore lists every type anew whose last list is from before a time, a few at a time. It blocks until all
// are listed or ctx ends. It is for a change that no watch brings: a restore of etcd.
func (m *Manager) RelistBefore(ctx context.Context, at time.Time) {
	var group errgroup.Group
	group.SetLimit(atOnce)
	for _, s := range m.Status() {
		if !s.Synced() || s.ListedAt.After(at) {
			continue
		}
		group.Go(func() error {
			_ = m.Relist(ctx, s.Type) // a type that is stopped meanwhile, or fails, is listed when it returns
			return nil
		})
	}
	_ = group.Wait()
}
