package reflector

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

const (
	// Silence is how long a watch may bring nothing, not even a bookmark. API servers send one about every minute, so
	// three are missing then.
	Silence = 3 * time.Minute
	// ListWithin is how long a list that is streamed may take until it gives way to a paged one, and
	// perListed how many objects of it give it that long once more: a million objects take longer than an end bookmark
	// that never comes is worth waiting for.
	ListWithin = 30 * time.Second
	perListed  = 100_000
)

var (
	// ErrSilent is given up waiting, by our own timer.
	ErrSilent = errors.New("no answer from the API server in time")
	// ErrIncomplete is a streamed list that the server ended in the middle.
	ErrIncomplete = errors.New("streamed list was ended by the server before it was complete")
	// ErrShort is a watch that the server accepts and ends at once without an event.
	ErrShort = errors.New("watch was ended by the server at once and without an event")
)

// Hooks are told what becomes of a [Stream], by its goroutine and in order. Each may be nil.
type Hooks struct {
	// Event is called before an event is handed on.
	Event func(ev apiwatch.Event)
	// Listed is called with the bookmark that ends a streamed list, before that is handed on.
	Listed func(took time.Duration)
	// Failed is called after an error was handed on, and with [ErrShort]. Listing says that it came in the
	// middle of a list.
	Failed func(err error, listing bool)
	// Silent is called when a stream is given up because nothing came.
	Silent func()
	// GivenUp is called when a streamed list is given up because its end does not come.
	GivenUp func()
}

// StreamOptions of a [Stream]. The zero value is a watch without a list.
type StreamOptions struct {
	// Silence is how long nothing may come; [Silence] when it is not positive.
	Silence time.Duration
	// Listing says that a streamed list comes first. It may take ListWithin; [ListWithin] when that is not positive.
	Listing    bool
	ListWithin time.Duration
	// Until is when the server has been asked to end the watch; zero means never. An end before that is early.
	Until time.Time
	// Resume is told how the stream has ended; it may be nil.
	Resume *Resume
	// Hooks are told what becomes of it.
	Hooks Hooks
}

// Puller is a watch whose events are taken without a goroutine of its own. Next blocks until there is one, and
// returns false when the watch has ended, by Stop too.
type Puller interface {
	apiwatch.Interface
	Next() (apiwatch.Event, bool)
}

// Stream passes the events of one watch on to a Reflector, and ends it when none comes for too long.
//
//	          listing                    following
//	     ┌──────────────┐ end bookmark ┌───────────┐  closed, silent, stopped
//	────▶│ initial      │─────────────▶│ changes   │──────────────────────────▶ ended
//	     │ events       │              └───────────┘
//	     └──────────────┘ closed, silent, or not over in time: an error, after which a Reflector asks for a paged list
type Stream struct {
	ctx     context.Context // Of the Reflector: after its end nothing is an error any more.
	inner   apiwatch.Interface
	opts    StreamOptions
	out     chan apiwatch.Event
	began   time.Time
	listing bool // the list that comes first is not complete; used by the stream's goroutine alone, like empty
	empty   bool // no event has come
	ending  ending
}

// ending is why a stream is ended from this side.
//
//	open ──▶ silent, unlisted or stopped
type ending struct {
	done   chan struct{} // closed when no event is waited for any more
	unread chan struct{} // closed when no event is read any more
	listed atomic.Int64  // events of the streamed list so far

	mu     sync.Mutex // guards what follows
	cause  cause
	halted bool // unread is closed
	// list is the timer of the streamed list, which sets itself anew.
	list *time.Timer
}

type cause uint8

const (
	open cause = iota
	silent
	unlisted
	stopped
)

// String returns the cause in lower case.
func (c cause) String() string { return [...]string{"open", "silent", "unlisted", "stopped"}[c] }

// NewStream starts a stream. Its goroutine ends when the server ends the watch, when it was silent for too long, with
// ctx, or with Stop; it then calls release, which is to end the request.
func NewStream(ctx context.Context, inner apiwatch.Interface, opts StreamOptions, release func()) *Stream {
	if opts.Silence <= 0 {
		opts.Silence = Silence
	}
	if opts.ListWithin <= 0 {
		opts.ListWithin = ListWithin
	}
	s := &Stream{
		ctx: ctx, inner: inner, opts: opts, out: make(chan apiwatch.Event), began: time.Now(), listing: opts.Listing, empty: true,
		ending: ending{done: make(chan struct{}), unread: make(chan struct{})},
	}
	go func() {
		defer release()
		defer s.Stop()
		defer close(s.out)
		s.forward()
	}()
	return s
}

// ResultChan returns the events. It is closed at the end of the stream.
func (s *Stream) ResultChan() <-chan apiwatch.Event { return s.out }

// Stop ends the stream without waiting. It may be called more than once and from several goroutines.
func (s *Stream) Stop() {
	s.ending.mu.Lock()
	if !s.ending.halted {
		s.ending.halted = true
		close(s.ending.unread)
	}
	s.ending.mu.Unlock()
	s.end(stopped)
}

// end ends the stream for the first cause there is.
func (s *Stream) end(why cause) {
	s.ending.mu.Lock()
	first := s.ending.cause == open
	if first {
		s.ending.cause = why
		close(s.ending.done)
	}
	s.ending.mu.Unlock()
	if first {
		s.inner.Stop()
	}
}

// forward passes events on until the stream ends.
func (s *Stream) forward() {
	silence := time.AfterFunc(s.opts.Silence, func() { s.end(silent) })
	defer silence.Stop()
	defer s.hasListed()
	if s.listing {
		s.expectList()
	}
	for {
		ev, ok := s.next()
		silence.Stop() // a slow Sink is no silence of the server
		if !ok || s.ctx.Err() != nil {
			s.over()
			return
		}
		if !s.pass(ev) {
			return
		}
		silence.Reset(s.opts.Silence)
	}
}

// next blocks until there is an event. Its stack is shallow: most streams wait all the time.
func (s *Stream) next() (apiwatch.Event, bool) {
	if p, ok := s.inner.(Puller); ok {
		return p.Next()
	}
	select {
	case ev, ok := <-s.inner.ResultChan():
		return ev, ok
	case <-s.ending.done:
	case <-s.ctx.Done():
	}
	return apiwatch.Event{}, false
}

// over tells why no event comes any more.
func (s *Stream) over() {
	s.ending.mu.Lock()
	why := s.ending.cause
	s.ending.mu.Unlock()
	switch {
	case s.ctx.Err() != nil:
	case why == open:
		s.closed()
	case why == silent:
		call(s.opts.Hooks.Silent)
		s.opts.Resume.ended(true)
		s.incomplete(ErrSilent)
	case why == unlisted:
		call(s.opts.Hooks.GivenUp)
		s.incomplete(ErrIncomplete)
	}
}

// expectList gives the streamed list up when it is not over in time.
func (s *Stream) expectList() {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	s.ending.list = time.AfterFunc(s.opts.ListWithin, func() {
		more := time.Until(s.due())
		if more <= 0 {
			s.end(unlisted)
			return
		}
		s.ending.mu.Lock()
		defer s.ending.mu.Unlock()
		if s.ending.list != nil {
			s.ending.list.Reset(more)
		}
	})
}

// hasListed waits for the list no more.
func (s *Stream) hasListed() {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	if s.ending.list != nil {
		s.ending.list.Stop()
		s.ending.list = nil
	}
}

// due is when a streamed list is to be over, by what it has brought so far.
func (s *Stream) due() time.Time {
	return s.began.Add(s.opts.ListWithin * time.Duration(1+s.ending.listed.Load()/perListed))
}

// closed notes that the server has ended the watch.
func (s *Stream) closed() {
	s.opts.Resume.ended(s.opts.Until.IsZero() || time.Until(s.opts.Until) > time.Second)
	if s.empty && time.Since(s.began) < time.Second {
		s.failed(ErrShort)
	}
	s.incomplete(ErrIncomplete)
}

// pass hands one event to the Reflector and tells whether the stream goes on.
func (s *Stream) pass(ev apiwatch.Event) bool {
	s.empty = false
	if s.opts.Hooks.Event != nil {
		s.opts.Hooks.Event(ev)
	}
	if s.listing {
		s.ending.listed.Add(1)
		if endsList(ev) {
			s.listing = false
			s.hasListed()
			s.opts.Resume.Listed()
			if s.opts.Hooks.Listed != nil {
				s.opts.Hooks.Listed(time.Since(s.began))
			}
		}
	}
	if !s.send(ev) {
		return false
	}
	if ev.Type == apiwatch.Error {
		s.opts.Resume.ended(true)
		s.failed(apierrors.FromObject(ev.Object)) // after it was taken: what came before it has been reported by then
	}
	return true
}

func endsList(ev apiwatch.Event) bool {
	if ev.Type != apiwatch.Bookmark {
		return false
	}
	o, err := meta.Accessor(ev.Object)
	return err == nil && o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}

// failed notes an error, unless the Reflector is ending.
func (s *Stream) failed(err error) {
	if s.ctx.Err() == nil && s.opts.Hooks.Failed != nil {
		s.opts.Hooks.Failed(err, s.listing)
	}
}

// incomplete turns the end of a stream in the middle of its list into an error, so that the Reflector falls back to a
// plain list: there are servers, and proxies before them, that take the wish for a streamed list for something else.
// Later on a stream just ends, and the Reflector asks for another one from its last version.
func (s *Stream) incomplete(err error) {
	if !s.listing {
		return
	}
	status := apierrors.NewTimeoutError(err.Error(), 0).Status()
	s.send(apiwatch.Event{Type: apiwatch.Error, Object: &status})
}

// send passes one event on and tells whether anybody reads on.
func (s *Stream) send(ev apiwatch.Event) bool {
	select {
	case s.out <- ev:
		return true
	case <-s.ending.unread:
		return false
	case <-s.ctx.Done():
		return false
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}
