package reflector

import (
	"errors"
	"sync"
)

// ErrEnded is the error of a request after the end.
var ErrEnded = errors.New("reflector has ended")

// Requests are the requests of one Reflector that are in progress. A Reflector lists in goroutines that it
// leaves behind when it is stopped, some even before they have begun. Its caller can wait for them with
// Requests. The zero value is ready for use, and all methods are safe for concurrent use.
type Requests struct {
	mu    sync.Mutex // guards ended, and Add against Wait
	ended bool
	all   sync.WaitGroup
}

// Begin notes a request and tells whether it may be made, which is false after End has begun. After true, the
// caller must call Done.
func (r *Requests) Begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	r.all.Add(1)
	return true
}

// Done notes the end of a request.
func (r *Requests) Done() { r.all.Done() }

// End lets no further request begin, and blocks until all requests have ended.
func (r *Requests) End() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.all.Wait()
}
