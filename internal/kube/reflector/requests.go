package reflector

import (
	"errors"
	"sync"
)

// ErrEnded is what a request returns that is begun after the end.
var ErrEnded = errors.New("reflector has ended")

// Requests are the requests of one Reflector that are in progress. A Reflector makes its lists in goroutines that it
// leaves behind when it is stopped, some of them before they have even begun; its runner can wait for
// them here. The zero value is ready for use, and all methods are safe for concurrent use.
type Requests struct {
	mu    sync.Mutex // guards ended, and Add against Wait
	ended bool
	all   sync.WaitGroup
}

// Begin notes a request, for which Done is to be called, and tells whether it may be made: false after End has begun.
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

// End lets no request begin any more, and blocks until all have ended.
func (r *Requests) End() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.all.Wait()
}
