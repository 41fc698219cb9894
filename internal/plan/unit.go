package plan

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// unit is one list and the watch that follows from it: a type, or a type in a namespace. One goroutine uses it at a
// time.
type unit struct {
	t         resource.Type
	namespace string // empty for all
	tallies   []*tally
	version   string
	listed    time.Time
	observed  time.Duration // of the watch
	err       error         // of the list
	unwatched error         // why the watch ended early
}

// listAttempts is how often a list is begun again if its version expires while it is read.
const listAttempts = 3

// pageTimeout is how long a page may take, as long as a replica gives a list that is streamed.
const pageTimeout = reflector.ListWithin

// list reads the objects. When a list is begun again, the objects that it has brought do not count.
func (u *unit) list(ctx context.Context, lister *watch.Lister, fresh func() []*tally) {
	for range listAttempts {
		u.tallies = fresh()
		u.err = u.pages(ctx, lister)
		if !errors.Is(u.err, watch.ErrExpired) {
			break
		}
	}
	u.listed = time.Now()
}

// pages reads one page after another, each within its own time.
func (u *unit) pages(ctx context.Context, lister *watch.Lister) (err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	patience := time.AfterFunc(pageTimeout, func() { cancel(reflector.ErrSilent) })
	defer patience.Stop()
	u.version, err = lister.Objects(ctx, u.t, watch.ListOptions{Namespace: u.namespace}, func(objects []metav1.PartialObjectMetadata) error {
		for i := range objects {
			for _, c := range u.tallies {
				c.list(u.t, &objects[i].ObjectMeta)
			}
		}
		patience.Reset(pageTimeout)
		return nil
	})
	if err != nil && errors.Is(context.Cause(ctx), reflector.ErrSilent) {
		return fmt.Errorf("listing %s: %w", u.t, reflector.ErrSilent)
	}
	return err
}

// watch follows changes until ctx ends. After a stream breaks, it continues where the stream ended.
func (u *unit) watch(ctx context.Context, client metadata.Interface) {
	defer func() {
		now := time.Now()
		u.observed = now.Sub(u.listed)
		for _, c := range u.tallies {
			c.changes.finish(now)
		}
	}()
	var of metadata.ResourceInterface = client.Resource(u.t.GVR())
	if u.namespace != "" {
		of = client.Resource(u.t.GVR()).Namespace(u.namespace)
	}
	quiet := logr.NewContext(ctx, logr.Discard()) // the report has the errors
	refused := make(chan error, 1)
	stream, err := watchtools.NewRetryWatcherWithContext(quiet, u.version, &toolscache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			w, err := of.Watch(ctx, o)
			if final(err) {
				select {
				case refused <- err:
				default: // the first error is enough
				}
			}
			return w, err
		},
	})
	if err != nil {
		u.unwatched = fmt.Errorf("watching from version %q: %w", u.version, err)
		return
	}
	defer func() { <-stream.Done() }()
	defer stream.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case u.unwatched = <-refused:
			return
		case e, open := <-stream.ResultChan():
			if !open {
				if ctx.Err() == nil {
					u.unwatched = errors.New("the watch has ended")
				}
				return
			}
			if u.unwatched = u.take(e, time.Now()); u.unwatched != nil {
				return
			}
		}
	}
}

// final tells whether a watch that is refused with this error will be refused again.
func final(err error) bool {
	switch watch.ReasonFor(err) {
	case watch.Expired, watch.Forbidden, watch.Unauthorized, watch.NotFound, watch.Undecodable:
		return true
	default:
		return false
	}
}

func (u *unit) take(e apiwatch.Event, now time.Time) error {
	if e.Type == apiwatch.Error {
		return apierrors.FromObject(e.Object)
	}
	o, ok := e.Object.(*metav1.PartialObjectMetadata)
	if !ok || e.Type == apiwatch.Bookmark {
		return nil
	}
	for _, c := range u.tallies {
		c.change(u.t, &o.ObjectMeta, e.Type == apiwatch.Deleted, now)
	}
	return nil
}
