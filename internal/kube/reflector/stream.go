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
	// Silence is how long a watch may bring nothing, not even a bookmark. API servers send a bookmark about every
	// minute, so three are missing then.
	Silence = 3 * time.Minute
	// ListWithin is how long a streamed list may take before a paged one replaces it. Each perListed objects extend
	// that time by ListWithin once more. A list of a million objects takes longer than it is worth waiting for an
	// end bookmark that never comes.
	ListWithin = 30 * time.Second
	perListed  = 100_000
)

var (
	// ErrSilent means that our own timer has ended a wait for the API server.
	ErrSilent = errors.New("no answer from the API server in time")
	// ErrIncomplete means that the server ended a streamed list in the middle.
	ErrIncomplete = errors.New("streamed list was ended by the server before it was complete")
	// ErrShort means that the server accepted a watch and ended it at once without an event.
	ErrShort = errors.New("watch was ended by the server at once and without an event")
)

// Hooks are called by the goroutine that takes the events of a [Stream], in order. Each may be nil.
type Hooks struct {
	// Event is called before Next returns an event.
	Event func(ev apiwatch.Event)
	// Listed is called before Next returns the bookmark that ends a streamed list.
	Listed func(took time.Duration)
	// Failed is called before Next returns an error event, and with [ErrShort]. listing says that the error came in
	// the middle of a list.
	Failed func(err error, listing bool)
	// Silent is called when a stream is ended because nothing came.
	Silent func()
	// GivenUp is called when a streamed list is ended because it is not over in time.
	GivenUp func()
}

// StreamOptions of a [Stream]. The zero value is for a watch without a list.
type StreamOptions struct {
	// Silence is how long nothing may come; [Silence] when it is not positive.
	Silence time.Duration
	// Listing says that a streamed list comes first. It may take ListWithin; [ListWithin] when that is not positive.
	Listing    bool
	ListWithin time.Duration
	// Until is the time at which the server was asked to end the watch; zero means never. An end before that is
	// early.
	Until time.Time
	// Resume is told how the stream has ended; it may be nil.
	Resume *Resume
	// Hooks are called on events of the stream.
	Hooks Hooks
}

// Puller is a watch that needs no goroutine of its own. Next blocks until there is an event, and returns false
// when the watch has ended, also by Stop.
type Puller interface {
	apiwatch.Interface
	Next() (apiwatch.Event, bool)
}

// Stream returns the events of one watch, and ends the watch when none comes for too long. It has no goroutine
// of its own. One goroutine at a time takes its events with Next, and the last of these goroutines closes it.
type Stream struct {
	ctx     context.Context // The Reflector's context: after its end no event is an error.
	inner   apiwatch.Interface
	pull    Puller // inner, if it is a Puller
	opts    StreamOptions
	release func() // ends the request; nil once it has been called
	silence *time.Timer
	began   time.Time
	phase   phase
	empty   bool // no event has come
	ending  ending
}

// phase is how far a stream has come. Only the goroutine that takes its events reads it.
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

// ending is why this side ends a stream.
//
//	open ──▶ silent, unlisted or stopped
type ending struct {
	done   chan struct{} // closed when a wait for an event is to end
	listed atomic.Int64  // events of the streamed list so far

	mu    sync.Mutex // guards the fields below
	cause cause
	// list is the timer of the streamed list, which resets itself.
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

// NewStream returns a stream that has to be closed. The stream is over when the server ends the watch, after a
// silence, with ctx, or with Stop. release must end the request, and is called once.
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

// end ends the stream. Only the first cause counts.
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

// Next blocks until there is an event, and returns false when the stream is over. Its stack is shallow while it
// waits, because most streams wait most of the time.
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

// last returns the last event of a stream, if there is one. In the middle of a list it is an error, so that a
// Reflector falls back to a plain list. Some servers and proxies misunderstand a request for a streamed list.
// After the list, a stream just ends, and the caller asks for another one from the last version.
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

// reason returns why the stream has ended; nil after Stop or the end of ctx.
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

// expectList starts the timer that ends the streamed list if it is not over in time.
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

// hasListed stops the timer of the streamed list.
func (s *Stream) hasListed() {
	s.ending.mu.Lock()
	defer s.ending.mu.Unlock()
	if s.ending.list != nil {
		s.ending.list.Stop()
		s.ending.list = nil
	}
}

// due returns when a streamed list is to be over, given the events so far.
func (s *Stream) due() time.Time {
	return s.began.Add(s.opts.ListWithin * time.Duration(1+s.ending.listed.Load()/perListed))
}

// note calls the hooks for an event that Next is about to return. The caller has handled all earlier events.
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
