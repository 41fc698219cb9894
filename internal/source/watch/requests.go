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

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// listerWatcher makes the requests of one Reflector. It sees every answer and every error, also those that
// the Reflector handles without telling anybody, and gives up what is not answered.
type listerWatcher struct {
	w        *watcher
	requests *reflector.Requests
	client   metadata.ResourceInterface
	resume   reflector.Resume
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
	if opts.Continue == "" {
		if err := l.admitted(ctx); err != nil {
			return nil, err
		}
	}
	l.resume.List(&opts)
	ctx, cancel := context.WithTimeoutCause(ctx, l.w.m.opts.listTimeout(), reflector.ErrSilent)
	defer cancel()
	opts.LabelSelector = l.w.m.opts.Keep.ServerSide()
	if opts.Continue == "" {
		l.began = time.Now()
	}
	full, err := l.client.List(ctx, opts)
	if err != nil {
		return nil, l.failed(ctx, err)
	}
	l.w.active()
	if full.Continue == "" {
		l.resume.Listed()
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
	if err := l.admitted(ctx); err != nil {
		l.requests.Done()
		return nil, err
	}
	opts.LabelSelector = l.w.m.opts.Keep.ServerSide()
	initial := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	within := l.w.m.opts.StaleAfter
	if initial {
		l.resume.List(&opts)
		within = min(within, reflector.ListWithin)
	} else if err := l.check(ctx, opts.ResourceVersion); err != nil {
		defer l.requests.Done()
		return l.unwatched(ctx, err, initial)
	}
	inner, release, err := reflector.Open(ctx, func(ctx context.Context) (apiwatch.Interface, error) { return l.client.Watch(ctx, opts) }, within)
	if err != nil {
		defer l.requests.Done()
		l.resume.Failed()
		return l.unwatched(ctx, err, initial)
	}
	if !initial {
		l.w.recovered()
	}
	return reflector.NewStream(ctx, inner, reflector.StreamOptions{
		Silence: l.w.m.opts.StaleAfter, Listing: initial, Until: reflector.Until(opts), Resume: &l.resume, Hooks: l.hooks(ctx),
	}, func() { release(); l.requests.Done() }), nil
}

// check tells whether a watch may go on from a version, or everything has to be listed.
func (l *listerWatcher) check(ctx context.Context, from string) error {
	rewound, err := l.resume.Check(ctx, from, func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, l.w.m.opts.listTimeout(), reflector.ErrSilent)
		defer cancel()
		list, err := l.client.List(ctx, reflector.Probe())
		if err != nil {
			return "", cause(ctx, err)
		}
		return list.ResourceVersion, nil
	})
	if rewound {
		l.w.m.opts.Streams.Restored(reflector.Objects)
		l.w.m.opts.Log.Info("Versions of a resource have begun anew, it is listed", "resource", l.w.t.String(), "from", from)
	}
	return err
}

// unwatched decides what the Reflector is told about a watch request that brought no watch.
func (l *listerWatcher) unwatched(ctx context.Context, err error, initial bool) (apiwatch.Interface, error) {
	if errors.Is(err, reflector.ErrSilent) {
		l.w.restarted(restartUnanswered)
		l.w.m.opts.Streams.Silent(reflector.Objects)
	}
	if initial && !utilnet.IsConnectionRefused(err) && !apierrors.IsTooManyRequests(err) {
		// No failure yet: the Reflector tries a plain list now, which is what counts. After those two it does not.
		return nil, l.counted(ctx, err)
	}
	err = l.failed(ctx, err)
	if errors.Is(err, reflector.ErrSilent) {
		// An error would cost a new list; an empty watch is asked for again from the last version.
		return apiwatch.NewEmptyWatch(), nil
	}
	return nil, err
}

// failed notes an error of a request, unless it is the end of ctx.
func (l *listerWatcher) failed(ctx context.Context, err error) error {
	err = l.counted(ctx, err)
	if !ended(ctx) && ReasonFor(err) != Expired {
		l.w.fail(err)
	}
	return err
}

// counted puts the cause in the place of a mere cancellation and counts the error.
func (l *listerWatcher) counted(ctx context.Context, err error) error {
	if ended(ctx) {
		return err
	}
	err = cause(ctx, err)
	l.w.deny(err)
	l.w.m.metrics.errors.WithLabelValues(string(ReasonFor(err))).Inc()
	return err
}

// cause puts our own giving up in the place of a mere cancellation.
func cause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, reflector.ErrSilent) {
		return cause
	}
	return err
}

// ended tells whether a context has ended otherwise than by our giving up.
func ended(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), reflector.ErrSilent)
}
