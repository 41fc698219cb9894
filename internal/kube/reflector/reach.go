package reflector

import (
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
)

// spread is the least period over which waiting Followers go on after an answer. apart is the least mean
// distance between two of them, so a thousand types take ten seconds. A server that has just come back must not
// get all requests at once.
const (
	spread = 2 * time.Second
	apart  = 10 * time.Millisecond
)

// Reach wakes Followers that wait for an unreachable API server when the server has answered another Follower.
// Their pauses can have grown to 30 s. All Followers of a client share a Reach. The zero value is ready for use,
// a nil Reach wakes no Follower, and all methods are safe for concurrent use.
type Reach struct {
	mu   sync.Mutex // guards the fields below
	next *wave      // nil while no Follower waits
}

// wave is the set of Followers that wait for the same answer.
type wave struct {
	back  chan struct{} // closed by the answer
	waits int           // the number of Followers; guarded by Reach.mu until back is closed, and constant from then on
}

// Answered notes that the server has answered a request without an error. It returns at once.
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

// wait joins the wave that waits for the next answer.
func (r *Reach) wait() *wave {
	if r == nil {
		return &wave{} // An answer never comes.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &wave{back: make(chan struct{})}
	}
	r.next.waits++
	return r.next
}

// leave takes one Follower out of a wave, if the answer has not come.
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

// turn returns how long after the answer a Follower goes on.
func (w *wave) turn() time.Duration {
	return rand.N(max(spread, time.Duration(w.waits)*apart))
}

// isUnreachable tells whether there was no answer at all, so that an answer to another Follower gives hope for
// the next try. An error in an answer concerns only the type, and so does silence.
func isUnreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) || utilnet.IsConnectionRefused(err) || utilnet.IsConnectionReset(err)
}
