package reflector

import (
	"context"
	"errors"
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

// Stream passes the events of one watch on to a Reflector, and ends it when none comes for too long.
//
//	          listing                    following
//	     ┌──────────────┐ end bookmark ┌───────────┐  closed, silent, stopped
//	────▶│ initial      │─────────────▶│ changes   │──────────────────────────▶ ended
//	     │ events       │              └───────────┘
//	     └──────────────┘ closed, silent, or not over in time: an error, after which a Reflector asks for a paged list
type Stream struct {
	ctx   context.Context // Of the Reflector: after its end nothing is an error any more.
	inner apiwatch.Interface
	opts  StreamOptions
	out   chan apiwatch.Event
	began time.Time
	// Events of the streamed list so far; used by the stream's goroutine alone, like what follows.
	listed  int
	listing bool            // the list that comes first is not complete
	empty   bool            // no event has come
	stopped context.Context // Its end is Stop.
	stop    context.CancelFunc
}

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
	}
	s.stopped, s.stop = context.WithCancel(ctx)
	go func() {
		defer release()
		defer inner.Stop()
		defer s.stop()
		defer close(s.out)
		s.forward()
	}()
	return s
}

// ResultChan returns the events. It is closed at the end of the stream.
func (s *Stream) ResultChan() <-chan apiwatch.Event { return s.out }

// Stop ends the stream without waiting. It may be called more than once and from several goroutines.
func (s *Stream) Stop() { s.stop() }

// forward passes events on until the stream ends.
func (s *Stream) forward() {
	silence := time.NewTimer(s.opts.Silence)
	defer silence.Stop()
	list := time.NewTimer(s.opts.ListWithin)
	defer list.Stop()
	if !s.listing {
		list.Stop()
	}
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-silence.C:
			call(s.opts.Hooks.Silent)
			s.opts.Resume.ended(true)
			s.incomplete(ErrSilent)
			return
		case <-list.C:
			if more := time.Until(s.due()); more > 0 {
				list.Reset(more)
				continue
			}
			call(s.opts.Hooks.GivenUp)
			s.incomplete(ErrIncomplete)
			return
		case ev, ok := <-s.inner.ResultChan():
			if !ok {
				s.closed()
				return
			}
			if !s.pass(ev) {
				return
			}
			if !s.listing {
				list.Stop()
			}
			silence.Reset(s.opts.Silence) // after it was taken: a slow Sink is no silence of the server
		}
	}
}

// due is when a streamed list is to be over, by what it has brought so far.
func (s *Stream) due() time.Time {
	return s.began.Add(s.opts.ListWithin * time.Duration(1+s.listed/perListed))
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
		s.listed++
		if endsList(ev) {
			s.listing = false
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

// send passes one event on and tells whether the stream goes on.
func (s *Stream) send(ev apiwatch.Event) bool {
	select {
	case s.out <- ev:
		return true
	case <-s.stopped.Done():
		return false
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}
