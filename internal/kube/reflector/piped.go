package reflector

import (
	"sync"

	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// Piped is a [Stream] whose events come from a channel, which is where a Reflector takes them from. Its goroutine takes
// them from the stream, and closes that in the end.
type Piped struct {
	stream *Stream
	out    chan apiwatch.Event
	unread chan struct{} // closed by Stop
	ended  chan struct{} // closed when the goroutine takes no event any more
	stop   sync.Once
}

// pipe starts a pipe. Its goroutine ends when the stream is over, when the stream's context ends, or with Stop. If it
// is for the list alone, it ends after that, too, and leaves the stream open to who waits for [Piped.rest].
func pipe(s *Stream, listOnly bool) *Piped {
	p := &Piped{stream: s, out: make(chan apiwatch.Event), unread: make(chan struct{}), ended: make(chan struct{})}
	go func() {
		defer close(p.ended)
		if !p.run(listOnly) {
			s.Close()
		}
	}()
	return p
}

// ResultChan returns the events. It is closed when no more come.
func (p *Piped) ResultChan() <-chan apiwatch.Event { return p.out }

// Stop ends the stream without waiting. It may be called more than once, and from any goroutine.
func (p *Piped) Stop() {
	p.stop.Do(func() { close(p.unread) })
	p.stream.Stop()
}

// run passes events on, and tells whether there is a rest of the stream that somebody else takes.
func (p *Piped) run(listOnly bool) (rest bool) {
	defer close(p.out)
	for {
		ev, ok := p.stream.Next()
		if !ok || !p.send(ev) {
			return false
		}
		if listOnly && p.stream.phase == following {
			return true
		}
	}
}

// send passes one event on and tells whether anybody reads on.
func (p *Piped) send(ev apiwatch.Event) bool {
	select {
	case p.out <- ev:
		return true
	case <-p.unread:
		return false
	case <-p.stream.ctx.Done():
		return false
	}
}

// rest blocks until the list of a pipe that is for the list alone has been taken, or the pipe has ended otherwise. It
// returns the stream, which is over in that case.
func (p *Piped) rest() *Stream {
	<-p.ended
	return p.stream
}
