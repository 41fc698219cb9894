package reflector

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// spread is within which time the waiting go on after an answer, at least; apart is how far they are then from
// each other, in the mean: a thousand types take ten seconds. All at once would be the first that the server sees.
const (
	spread = 2 * time.Second
	apart  = 10 * time.Millisecond
)

// Reach tells Followers that wait because the API server could not be reached that it has answered another one. Their
// pauses have become as long as 30 s by then. All Followers of a client share one. The zero value is ready for use, a
// nil Reach tells nothing, and all methods are safe for concurrent use.
type Reach struct {
	mu   sync.Mutex // guards what follows
	next *wave      // nil until somebody waits
}

// wave is those who wait for the same answer.
type wave struct {
	back  chan struct{} // closed by the answer
	waits int           // so many; guarded by the mutex of Reach until back is closed, and constant from then on
}

// Answered notes that the server has answered a request with what was asked for. It returns at once.
func (r *Reach) Answered() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next != nil {
		close(r.next.back)
		r.next = nil
	}
}

// wait joins those who wait for the next answer.
func (r *Reach) wait() *wave {
	if r == nil {
		return &wave{} // It never comes.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &wave{back: make(chan struct{})}
	}
	r.next.waits++
	return r.next
}

// leave is called by one of them who waits no more.
func (r *Reach) leave(w *wave) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == w {
		w.waits--
	}
}

// turn is how long after the answer one of them goes on.
func (w *wave) turn() time.Duration {
	return rand.N(max(spread, time.Duration(w.waits)*apart))
}

// isUnreachable tells whether there was no answer at all, so that another's answer says something about the next try.
// An answer that is an error is about the type, and so is silence.
func isUnreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err)
}
