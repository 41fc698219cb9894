package watch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"
)

// listerWatcher makes the requests of one Reflector. It sees every answer and every error, also those that the Reflector
// handles without telling anybody, and gives up what is not answered.
type listerWatcher struct {
	w      *watcher
	client metadata.ResourceInterface
	began  time.Time // of the list in progress; used by the Reflector's goroutine alone
}

func (l *listerWatcher) forReflector(client any) cache.ListerWatcher {
	return cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc:  l.list,
		WatchFuncWithContext: l.watch,
	}, client)
}

// list is what a Reflector falls back to when the server cannot stream a list. Its objects are made compact before the
// next page is asked for.
func (l *listerWatcher) list(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	l.w.requests.Add(1) // the Reflector does not wait for its lists when it is stopped
	defer l.w.requests.Done()
	if opts.ResourceVersion == "0" {
		// Any state that the answering server has cached, maybe an old one: objects would seem to vanish and come back.
		opts.ResourceVersion = ""
	}
	reqCtx, cancel := context.WithTimeoutCause(ctx, l.w.m.opts.StaleAfter, errUnanswered)
	defer cancel()
	began := time.Now()
	full, err := l.client.List(reqCtx, opts)
	if err != nil {
		err = l.failed(ctx, reqCtx, err)
		return nil, err
	}
	l.w.active()
	l.w.m.metrics.lists.Observe(time.Since(began).Seconds())
	list := &metainternal.List{ListMeta: full.ListMeta, Items: make([]runtime.Object, len(full.Items))}
	for i := range full.Items {
		list.Items[i] = newItem(&full.Items[i].ObjectMeta, l.w.m.opts.Keep)
	}
	return list, nil
}

// watch opens a stream of changes or, with SendInitialEvents, of a list and then of changes.
func (l *listerWatcher) watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	initial := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	reqCtx, cancel := context.WithCancelCause(ctx)
	giveUp := time.AfterFunc(l.w.m.opts.StaleAfter, func() { cancel(errUnanswered) })
	began := time.Now()
	inner, err := l.client.Watch(reqCtx, opts)
	answered := giveUp.Stop()
	if err == nil && !answered {
		inner.Stop() // it came when it had been given up
		err = errUnanswered
	}
	if err != nil {
		defer cancel(nil)
		return l.unwatched(ctx, reqCtx, err, initial)
	}
	if !initial {
		l.w.recovered()
	}
	return newStream(l.w, inner, cancel, initial, began), nil
}

// unwatched decides what the Reflector is told about a watch request that brought no watch.
func (l *listerWatcher) unwatched(ctx, reqCtx context.Context, err error, initial bool) (apiwatch.Interface, error) {
	if errors.Is(context.Cause(reqCtx), errUnanswered) {
		l.w.restarted(restartUnanswered)
	}
	if initial {
		// No failure yet: the Reflector tries a plain list now, which is what counts.
		return nil, l.counted(ctx, reqCtx, err)
	}
	err = l.failed(ctx, reqCtx, err)
	if errors.Is(err, errUnanswered) {
		// An error would cost a new list; an empty watch is asked for again from the last version.
		return apiwatch.NewEmptyWatch(), nil
	}
	return nil, err
}

// failed notes an error of a request, unless it is the end of ctx.
func (l *listerWatcher) failed(ctx, reqCtx context.Context, err error) error {
	err = l.counted(ctx, reqCtx, err)
	if ctx.Err() == nil && ReasonFor(err) != Expired {
		l.w.fail(err)
	}
	return err
}

// counted puts the cause in the place of a mere cancellation and counts the error.
func (l *listerWatcher) counted(ctx, reqCtx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if cause := context.Cause(reqCtx); errors.Is(cause, errUnanswered) {
		err = cause
	}
	l.w.m.metrics.errors.WithLabelValues(string(ReasonFor(err))).Inc()
	return err
}

// stream passes events from the server to the Reflector and ends when none comes for too long.
type stream struct {
	w       *watcher
	inner   apiwatch.Interface
	out     chan apiwatch.Event
	stopped context.Context
	stop    context.CancelFunc
}

// newStream starts a stream. Its goroutine ends when the server ends the watch, when it was silent for too long, or with
// Stop; the watcher waits for it. Release is called at the end.
func newStream(w *watcher, inner apiwatch.Interface, release context.CancelCauseFunc, initial bool, began time.Time) *stream {
	s := &stream{w: w, inner: inner, out: make(chan apiwatch.Event)}
	s.stopped, s.stop = context.WithCancel(context.Background())
	w.requests.Add(1)
	go func() {
		defer w.requests.Done()
		defer release(nil)
		defer inner.Stop()
		defer close(s.out)
		s.forward(initial, began)
	}()
	return s
}

// ResultChan returns the events. It is closed at the end of the stream.
func (s *stream) ResultChan() <-chan apiwatch.Event { return s.out }

// Stop ends the stream without waiting; it may be called more than once, and by several goroutines.
func (s *stream) Stop() { s.stop() }

// forward passes events on until the stream ends. Initial says that a list comes first.
func (s *stream) forward(initial bool, began time.Time) {
	silence := time.NewTimer(s.w.m.opts.StaleAfter)
	defer silence.Stop()
	empty := true
	for {
		select {
		case <-s.stopped.Done():
			return
		case <-silence.C:
			s.silent(initial)
			return
		case ev, ok := <-s.inner.ResultChan():
			if !ok {
				if empty && time.Since(began) < time.Second {
					s.note(errShort)
				}
				return
			}
			empty = false
			s.see(ev, &initial, began)
			if !s.send(ev) {
				return
			}
			silence.Reset(s.w.m.opts.StaleAfter) // after the send: a slow Sink is no silence of the server
		}
	}
}

// see keeps account of an event before it is passed on.
func (s *stream) see(ev apiwatch.Event, initial *bool, began time.Time) {
	s.w.m.metrics.events.WithLabelValues(string(ev.Type)).Inc()
	if ev.Type == apiwatch.Error {
		s.note(apierrors.FromObject(ev.Object))
		return
	}
	s.w.active()
	if o, ok := ev.Object.(*metav1.PartialObjectMetadata); *initial && ok && ev.Type == apiwatch.Bookmark &&
		o.Annotations[metav1.InitialEventsAnnotationKey] == "true" {
		*initial = false
		s.w.m.metrics.lists.Observe(time.Since(began).Seconds())
	}
}

// note counts an error of the stream. That a version has expired is no failure: a list follows.
func (s *stream) note(err error) {
	reason := ReasonFor(err)
	s.w.m.metrics.errors.WithLabelValues(string(reason)).Inc()
	if reason != Expired {
		s.w.fail(err)
	}
}

// silent ends a stream that brought nothing. In the middle of a list that is an error, so that the Reflector falls back
// to a plain list: there are servers that ignore the wish for a streamed one. Later the stream just ends, and the
// Reflector asks for another one from its last version.
func (s *stream) silent(initial bool) {
	s.w.restarted(restartStale)
	if initial {
		status := apierrors.NewTimeoutError(errUnanswered.Error(), 0).Status()
		s.send(apiwatch.Event{Type: apiwatch.Error, Object: &status})
	}
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
