package watch

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Deletion is an object that was deleted at a version.
type Deletion struct {
	// Namespace is empty for an object of a cluster-scoped type.
	Namespace, Name string
	Version         uint64
	// Now is nil. But where receivers have selections of their own, an object that was changed is told of as
	// well, with what it is now: it may be none for one of them any more.
	Now *resource.Record
}

const (
	// historyRound is how long the API server is asked to keep one watch of the past open. It says how far it
	// has come 2 s before the end, which is what a type without changes waits for.
	historyRound = 3
	// historyTimeout bounds all rounds together, for a type with more changes than a round brings.
	historyTimeout = time.Minute
	// historyIdle is how many rounds in a row may bring nothing at all.
	historyIdle = 3
)

// errHistoryStopped says that the API server did not say how far it has come.
var errHistoryStopped = errors.New("the watch of the past has brought nothing for three rounds")

// Deletions calls each for every deletion of a type after one version and up to another, in their order, and for every
// change after which an object is selected no more. What a list of
// the past cannot show is among them: objects that were created after it and are gone by now. It costs one short watch
// and holds nothing.
//
// API servers remember some minutes of changes, and nothing from before their start: a version that is older,
// or is 0, is an error for which errors.Is(err, ErrExpired) holds. It blocks for a second or two, and for a
// minute at most.
func (l *Lister) Deletions(ctx context.Context, t resource.Type, after, until uint64, each func(Deletion)) error {
	if after == 0 { // To an API server that means any version.
		return fmt.Errorf("watching the past of %s from its beginning: %w", t, ErrExpired)
	}
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	for idle := 0; after < until; idle++ {
		reached, err := l.history(ctx, t, after, until, each)
		if err != nil {
			return fmt.Errorf("watching the past of %s: %w", t, err)
		}
		if reached > after {
			idle = 0
		} else if idle+1 >= historyIdle {
			return fmt.Errorf("watching the past of %s: %w", t, errHistoryStopped)
		}
		after = max(after, reached)
	}
	return nil
}

// history watches for one round, and returns up to which version everything was seen.
func (l *Lister) history(ctx context.Context, t resource.Type, after, until uint64, each func(Deletion)) (reached uint64, err error) {
	w, err := in(l.client, t).Watch(ctx, metav1.ListOptions{
		ResourceVersion: strconv.FormatUint(after, 10), AllowWatchBookmarks: true, TimeoutSeconds: new(int64(historyRound)),
		LabelSelector: l.keep.ServerSide(),
	})
	if err != nil {
		return 0, expired(err)
	}
	defer w.Stop()
	for reached = after; reached < until; {
		select {
		case <-ctx.Done():
			return reached, ctx.Err() // Deletions says what it was doing.
		case e, open := <-w.ResultChan():
			if !open {
				return reached, nil
			}
			if e.Type == apiwatch.Error {
				return reached, expired(apierrors.FromObject(e.Object))
			}
			o, err := meta.Accessor(e.Object)
			if err != nil {
				return reached, fmt.Errorf("reading an event: %w", err)
			}
			version := resource.ParseVersion(o.GetResourceVersion())
			if d, ends := l.ends(e); ends && version <= until && l.namespaces.Match(t, o.GetNamespace(), o.GetName()) {
				d.Namespace, d.Name, d.Version = o.GetNamespace(), o.GetName(), version
				each(d)
			}
			reached = max(reached, version)
		}
	}
	return reached, nil
}

// ends tells whether an object is to be had no more after an event, or may be: it was deleted, or changed so
// that it is no longer selected. What it was before the change nobody tells; that it may have been selected
// is enough.
func (l *Lister) ends(e apiwatch.Event) (d Deletion, ends bool) {
	o, ok := e.Object.(*metav1.PartialObjectMetadata)
	switch {
	case e.Type == apiwatch.Deleted:
		return d, true
	case e.Type != apiwatch.Modified || !ok:
		return d, false
	case l.keep.MayHaveLeft(&o.ObjectMeta):
		return d, true
	case l.keep.KeepMarks:
		r, selected := l.keep.Record(&o.ObjectMeta)
		d.Now = &r
		return d, selected
	default:
		return d, false
	}
}

// expired marks the errors that say that a version is not remembered any more.
func expired(err error) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return errors.Join(ErrExpired, err)
	}
	return err
}
