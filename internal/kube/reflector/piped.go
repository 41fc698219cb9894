package reflector

import (
	"sync"

	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// Piped passes the events of a [Stream] to a channel, because a Reflector takes events from a channel. Its
// goroutine takes events from the stream, and closes the stream in the end.
type Piped struct {
	stream *Stream
	out    chan apiwatch.Event
	unread chan struct{} // closed by Stop
	ended  chan struct{} // closed when the goroutine has taken its last event
	stop   sync.Once
}

// pipe starts a Piped. Its goroutine ends when the stream is over, when the stream's context ends, or with Stop.
// With listOnly it also ends after the list, and leaves the stream open for the caller of [Piped.rest].
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

// ResultChan returns the channel of events. The channel is closed after the last event.
func (p *Piped) ResultChan() <-chan apiwatch.Event { return p.out }

// Stop ends the stream without waiting. It may be called more than once, and from any goroutine.
func (p *Piped) Stop() {
	p.stop.Do(func() { close(p.unread) })
	p.stream.Stop()
}

// run passes events on. It returns true if it has ended after the list, so that the rest of the stream is for
// the caller of [Piped.rest].
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

// send passes one event on, and tells whether the reader goes on.
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

// rest blocks until the reader has taken the list, or the pipe has ended otherwise. It returns the stream, which
// is over in the latter case.
func (p *Piped) rest() *Stream {
	<-p.ended
	return p.stream
}
