package watch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/discovery/reflector"
)

// listerWatcher makes the requests of one Reflector. It sees every answer and every error, also those that the Reflector
// handles without telling anybody, and gives up what is not answered.
type listerWatcher struct {
	w        *watcher
	requests *reflector.Requests
	client   metadata.ResourceInterface
	began    time.Time // of the list whose pages are asked for, one after another
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
	if !l.requests.Begin() {
		return nil, reflector.ErrEnded
	}
	defer l.requests.Done()
	if opts.ResourceVersion == "0" {
		// Any state that the answering server has cached, maybe an old one: objects would seem to vanish and come back.
		opts.ResourceVersion = ""
	}
	reqCtx, cancel := context.WithTimeoutCause(ctx, l.w.m.opts.StaleAfter, errUnanswered)
	defer cancel()
	opts.LabelSelector = l.w.m.opts.Keep.ServerSide()
	if opts.Continue == "" {
		l.began = time.Now()
	}
	full, err := l.client.List(reqCtx, opts)
	if err != nil {
		return nil, l.failed(ctx, reqCtx, err)
	}
	l.w.active()
	if full.Continue == "" {
		l.w.m.metrics.lists.Observe(time.Since(l.began).Seconds())
	}
	list := &metainternal.List{ListMeta: full.ListMeta, Items: make([]runtime.Object, len(full.Items))}
	for i := range full.Items {
		list.Items[i] = newItem(&full.Items[i].ObjectMeta, l.w.m.opts.Keep)
	}
	return list, nil
}

// watch opens a stream of changes or, with SendInitialEvents, of a list and then of changes.
func (l *listerWatcher) watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	if !l.requests.Begin() {
		return nil, reflector.ErrEnded
	}
	opts.LabelSelector = l.w.m.opts.Keep.ServerSide()
	initial := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	reqCtx, cancel := context.WithCancelCause(ctx)
	giveUp := time.AfterFunc(l.w.m.opts.StaleAfter, func() { cancel(errUnanswered) })
	inner, err := l.client.Watch(reqCtx, opts)
	answered := giveUp.Stop()
	if err == nil && !answered {
		inner.Stop() // it came when it had been given up
		err = errUnanswered
	}
	if err != nil {
		defer l.requests.Done()
		defer cancel(nil)
		return l.unwatched(ctx, reqCtx, err, initial)
	}
	if !initial {
		l.w.recovered()
	}
	return newStream(ctx, l.w, inner, func() { cancel(nil); l.requests.Done() }, initial), nil
}

// unwatched decides what the Reflector is told about a watch request that brought no watch.
func (l *listerWatcher) unwatched(ctx, reqCtx context.Context, err error, initial bool) (apiwatch.Interface, error) {
	if errors.Is(context.Cause(reqCtx), errUnanswered) {
		l.w.restarted(restartUnanswered)
	}
	if initial && !utilnet.IsConnectionRefused(err) && !apierrors.IsTooManyRequests(err) {
		// No failure yet: the Reflector tries a plain list now, which is what counts. After those two it does not.
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
