package watch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// errIncomplete is a streamed list that the server ended in the middle.
var errIncomplete = errors.New("streamed list was ended by the server before it was complete")

// stream passes events from the server to the Reflector, keeps account of them, and ends when none comes for too long.
type stream struct {
	ctx     context.Context // of the watcher: after its end nothing is an error any more
	w       *watcher
	inner   apiwatch.Interface
	out     chan apiwatch.Event
	began   time.Time
	listing bool // the list that comes first is not complete; used by the stream's goroutine alone
	empty   bool // no event has come; likewise
	stopped context.Context
	stop    context.CancelFunc
}

// newStream starts a stream. Its goroutine ends when the server ends the watch, when it was silent for too long, or with
// Stop; it calls release, which ends the request. Listing says that a list comes first.
func newStream(ctx context.Context, w *watcher, inner apiwatch.Interface, release func(), listing bool) *stream {
	s := &stream{
		ctx: ctx, w: w, inner: inner, out: make(chan apiwatch.Event), began: time.Now(), listing: listing, empty: true,
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
func (s *stream) ResultChan() <-chan apiwatch.Event { return s.out }

// Stop ends the stream without waiting. It may be called more than once and from several goroutines.
func (s *stream) Stop() { s.stop() }

// forward passes events on until the stream ends.
func (s *stream) forward() {
	silence := time.NewTimer(s.w.m.opts.StaleAfter)
	defer silence.Stop()
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-silence.C:
			s.w.restarted(restartStale)
			s.ended(errUnanswered)
			return
		case ev, ok := <-s.inner.ResultChan():
			if !ok {
				if s.empty && time.Since(s.began) < time.Second {
					s.failed(errShort)
				}
				s.ended(errIncomplete)
				return
			}
			if !s.pass(ev) {
				return
			}
			silence.Reset(s.w.m.opts.StaleAfter) // after it was taken: a slow Sink is no silence of the server
		}
	}
}

// pass hands one event to the Reflector and tells whether the stream goes on.
func (s *stream) pass(ev apiwatch.Event) bool {
	s.empty = false
	s.w.m.metrics.events.WithLabelValues(string(ev.Type)).Inc()
	if ev.Type != apiwatch.Error {
		s.w.active()
	}
	if s.listing && endsList(ev) {
		s.listing = false
		s.w.m.metrics.lists.Observe(time.Since(s.began).Seconds())
	}
	if !s.send(ev) {
		return false
	}
	if ev.Type == apiwatch.Error {
		s.failed(apierrors.FromObject(ev.Object)) // after it was taken: what came before it has been reported by then
	}
	return true
}

func endsList(ev apiwatch.Event) bool {
	o, ok := ev.Object.(*metav1.PartialObjectMetadata)
	return ok && ev.Type == apiwatch.Bookmark && o.Annotations[metav1.InitialEventsAnnotationKey] == "true"
}

// failed notes an error. In the middle of a list it is counted and no more: the Reflector tries a plain list next, which
// is what counts. That a version has expired is no failure either: a list follows.
func (s *stream) failed(err error) {
	if s.ctx.Err() != nil {
		return
	}
	reason := ReasonFor(err)
	s.w.m.metrics.errors.WithLabelValues(string(reason)).Inc()
	if !s.listing && reason != Expired {
		s.w.fail(err)
	}
}

// ended turns the end of a stream in the middle of its list into an error, so that the Reflector falls back to a plain
// list: there are servers, and proxies before them, that take the wish for a streamed list for something else. Later on
// a stream just ends, and the Reflector asks for another one from its last version.
func (s *stream) ended(err error) {
	if !s.listing {
		return
	}
	status := apierrors.NewTimeoutError(err.Error(), 0).Status()
	s.send(apiwatch.Event{Type: apiwatch.Error, Object: &status})
}

// send passes one event on and tells whether the stream goes on.
func (s *stream) send(ev apiwatch.Event) bool {
	select {
	case s.out <- ev:
		return true
	case <-s.stopped.Done():
		return false
	}
}
