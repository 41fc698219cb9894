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

// Hooks are told what becomes of a [Stream], by the goroutine that takes its events and in order. Each may be nil.
type Hooks struct {
	// Event is called before an event is handed out.
	Event func(ev apiwatch.Event)
	// Listed is called with the bookmark that ends a streamed list, before that is handed out.
	Listed func(took time.Duration)
	// Failed is called before an error is handed out, and with [ErrShort]. Listing says that it came in the
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

// Stream hands out the events of one watch, and ends it when none comes for too long. It has no goroutine of its own:
// one goroutine at a time takes its events with Next, and the last of them closes it.
type Stream struct {
	ctx     context.Context // Of the Reflector: after its end nothing is an error any more.
	inner   apiwatch.Interface
	pull    Puller // inner, if it is one
	opts    StreamOptions
	release func() // of the request; nil once it has been called
	silence *time.Timer
	began   time.Time
	phase   phase
	empty   bool // no event has come
	ending  ending
}

// phase is how far a stream has come. Only the goroutine that takes its events looks at it.
//
//	 listing                    following
//	┌──────────────┐ end bookmark ┌───────────┐  closed, silent, stopped
//	│ initial      │─────────────▶│ changes   │──────────────────────────▶ over
//	│ events       │              └───────────┘
//	└──────────────┘ closed, silent, or not over in time: an error, after which a Reflector asks for a paged list
type phase uint8

const (
	listing phase = iota
	following
	over
)

// String returns the phase in lower case.
func (p phase) String() string { return [...]string{"listing", "following", "over"}[p] }

// ending is why a stream is ended from this side.
//
//	open ──▶ silent, unlisted or stopped
type ending struct {
	done   chan struct{} // closed when no event is waited for any more
	listed atomic.Int64  // events of the streamed list so far

	mu    sync.Mutex // guards what follows
	cause cause
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

// NewStream returns a stream that has to be closed. It is over when the server ends the watch, when it was silent for
// too long, with ctx, or with Stop. Release is to end the request, and is called once.
func NewStream(ctx context.Context, inner apiwatch.Interface, opts StreamOptions, release func()) *Stream {
	if opts.Silence <= 0 {
		opts.Silence = Silence
	}
	if opts.ListWithin <= 0 {
		opts.ListWithin = ListWithin
	}
	s := &Stream{
		ctx: ctx, inner: inner, opts: opts, release: release, began: time.Now(), phase: following, empty: true,
		ending: ending{done: make(chan struct{})},
	}
	s.pull, _ = inner.(Puller)
	s.silence = time.AfterFunc(opts.Silence, func() { s.end(silent) })
	if opts.Listing {
		s.phase = listing
		s.expectList()
	}
	return s
}

// Stop ends the stream without waiting: a Next that waits returns. It may be called more than once, and from any
// goroutine.
func (s *Stream) Stop() { s.end(stopped) }

// Close ends the stream and its request. It may be called more than once, by the goroutine that takes the events.
func (s *Stream) Close() {
	s.phase = over
	s.silence.Stop()
	s.hasListed()
	s.Stop()
	if s.release != nil {
		s.release()
		s.release = nil
	}
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

// Next blocks until there is an event, and returns false when the stream is over. Its stack is shallow while it waits:
// most streams do nothing else.
func (s *Stream) Next() (apiwatch.Event, bool) {
	if s.phase == over {
		return apiwatch.Event{}, false
	}
	s.silence.Reset(s.opts.Silence)
	var ev apiwatch.Event
	var ok bool
	if s.pull != nil {
		ev, ok = s.pull.Next()
	} else {
		ev, ok = s.receive()
	}
	s.silence.Stop() // a slow Sink is no silence of the server
	if !ok || s.ctx.Err() != nil {
		return s.last()
	}
	s.note(ev)
	return ev, true
}

// receive takes an event from a channel.
//
//go:noinline // or its frame would be one of each stream that waits
func (s *Stream) receive() (apiwatch.Event, bool) {
	select {
	case ev, ok := <-s.inner.ResultChan():
		return ev, ok
	case <-s.ending.done:
	case <-s.ctx.Done():
	}
	return apiwatch.Event{}, false
}

// last is what there is to tell when no event comes any more. In the middle of a list that is an error, so that a
// Reflector falls back to a plain list: there are servers, and proxies before them, that take the wish for a streamed
// list for something else. Later on a stream just ends, and another one is asked for from the last version.
func (s *Stream) last() (apiwatch.Event, bool) {
	var err error
	if s.ctx.Err() == nil {
		err = s.reason()
	}
	unlisted := s.phase == listing
	s.phase = over
	s.hasListed()
	if !unlisted || err == nil {
		return apiwatch.Event{}, false
	}
	status := apierrors.NewTimeoutError(err.Error(), 0).Status()
	return apiwatch.Event{Type: apiwatch.Error, Object: &status}, true
}

// reason is why no event comes any more; nil if nobody wants to know.
func (s *Stream) reason() error {
	s.ending.mu.Lock()
	why := s.ending.cause
	s.ending.mu.Unlock()
	switch why {
	case open:
		s.closed()
	case silent:
		call(s.opts.Hooks.Silent)
		s.opts.Resume.ended(true)
		return ErrSilent
	case unlisted:
		call(s.opts.Hooks.GivenUp)
	case stopped:
		return nil
	}
	return ErrIncomplete
}

// closed notes that the server has ended the watch.
func (s *Stream) closed() {
	s.opts.Resume.ended(s.opts.Until.IsZero() || time.Until(s.opts.Until) > time.Second)
	if s.empty && time.Since(s.began) < time.Second {
		s.failed(ErrShort)
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

// note keeps account of an event that is about to be handed out. What came before it has been taken.
//
//go:noinline // or its frame would be one of each stream that waits
func (s *Stream) note(ev apiwatch.Event) {
	s.empty = false
	if s.opts.Hooks.Event != nil {
		s.opts.Hooks.Event(ev)
	}
	if s.phase == listing {
		s.ending.listed.Add(1)
		if endsList(ev) {
			s.phase = following
			s.hasListed()
			s.opts.Resume.Listed()
			if s.opts.Hooks.Listed != nil {
				s.opts.Hooks.Listed(time.Since(s.began))
			}
		}
	}
	if ev.Type == apiwatch.Error {
		s.opts.Resume.ended(true)
		s.failed(apierrors.FromObject(ev.Object))
	}
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
		s.opts.Hooks.Failed(err, s.phase == listing)
	}
}

func call(f func()) {
	if f != nil {
		f()
	}
}
