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

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// requester makes the requests of one [reflector.Follower]. It sees every answer and every error, even those
// that client-go handles silently. It ends requests without an answer.
type requester struct {
	w        *watcher
	requests *reflector.Requests
	client   metadata.ResourceInterface
	resume   reflector.Resume
	began    time.Time // the start of the list whose pages are requested
}

// List implements [reflector.Requester]. It requests a page of a plain list, to which a Reflector falls back
// when the server cannot stream a list. It makes the objects compact before it returns, so a list never holds
// two whole pages.
func (l *requester) List(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
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
	l.w.m.reach.Answered()
	l.w.active()
	if full.Continue == "" {
		l.resume.Listed()
		l.w.m.metrics.lists.Observe(time.Since(l.began).Seconds())
	}
	list := &metainternal.List{ListMeta: full.ListMeta, Items: make([]runtime.Object, len(full.Items))}
	var page items
	for i := range full.Items {
		list.Items[i] = page.add(&full.Items[i].ObjectMeta, l.w.m.opts.Keep)
	}
	return list, nil
}

// Watch implements [reflector.Requester]. It opens a stream of changes or, with SendInitialEvents, of a list and then
// of changes.
func (l *requester) Watch(ctx context.Context, opts metav1.ListOptions) (*reflector.Stream, error) {
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
		return nil, l.unwatched(ctx, err, initial)
	}
	inner, release, err := reflector.Open(ctx, func(ctx context.Context) (apiwatch.Interface, error) { return l.client.Watch(ctx, opts) }, within)
	if err != nil {
		defer l.requests.Done()
		l.resume.Failed()
		return nil, l.unwatched(ctx, err, initial)
	}
	if !initial {
		l.w.recovered()
	}
	return reflector.NewStream(ctx, inner, reflector.StreamOptions{
		Silence: l.w.m.opts.StaleAfter, Listing: initial, Until: reflector.Until(opts), Resume: &l.resume, Hooks: l.hooks(ctx),
	}, func() { release(); l.requests.Done() }), nil
}

// check tells whether a watch may go on from a version, or a list is needed.
func (l *requester) check(ctx context.Context, from string) error {
	rewound, err := l.resume.Check(ctx, from, func(ctx context.Context) (string, error) {
		ctx, cancel := context.WithTimeoutCause(ctx, l.w.m.opts.listTimeout(), reflector.ErrSilent)
		defer cancel()
		list, err := l.client.List(ctx, reflector.Probe())
		if err != nil {
			return "", cause(ctx, err)
		}
		l.w.m.reach.Answered()
		return list.ResourceVersion, nil
	})
	if rewound {
		l.w.m.opts.Streams.Restored(reflector.Objects)
		l.w.m.opts.Log.Info("Versions of a resource have begun anew, it is listed", "resource", l.w.t.String(), "from", from)
	}
	return err
}

// unwatched notes the error of a watch request.
func (l *requester) unwatched(ctx context.Context, err error, initial bool) error {
	if errors.Is(err, reflector.ErrSilent) {
		l.w.restarted(restartUnanswered)
		l.w.m.opts.Streams.Silent(reflector.Objects)
	}
	if initial && !utilnet.IsConnectionRefused(err) && !apierrors.IsTooManyRequests(err) {
		// This is no failure yet, because the Reflector tries a plain list next, and only its error counts. It does
		// not try one after a refused or a throttled request.
		return l.counted(ctx, err)
	}
	return l.failed(ctx, err)
}

// failed notes an error of a request, unless ctx has ended.
func (l *requester) failed(ctx context.Context, err error) error {
	err = l.counted(ctx, err)
	if !ended(ctx) && ReasonFor(err) != Expired {
		l.w.fail(err)
	}
	return err
}

// counted replaces a mere cancellation by its cause, and counts the error.
func (l *requester) counted(ctx context.Context, err error) error {
	if ended(ctx) {
		return err
	}
	err = cause(ctx, err)
	l.w.deny(err)
	l.w.m.metrics.errors.WithLabelValues(string(ReasonFor(err))).Inc()
	return err
}

// cause replaces a mere cancellation by our own timeout, if that caused it.
func cause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, reflector.ErrSilent) {
		return cause
	}
	return err
}

// ended tells whether a context has ended for another reason than our own timeout.
func ended(ctx context.Context) bool {
	return ctx.Err() != nil && !errors.Is(context.Cause(ctx), reflector.ErrSilent)
}
