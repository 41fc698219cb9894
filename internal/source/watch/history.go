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
	// Now is nil if the object was deleted or is not selected any more. Where receivers have selections of their
	// own, changed objects are reported, too, with their new state in Now. One of the receivers may not select them
	// any more.
	Now *resource.Record
}

const (
	// historyRound is for how many seconds a request asks the API server to keep one watch of the past open. Two
	// seconds before the end, the server sends a bookmark, for which a type without changes has to wait.
	historyRound = 3
	// historyTimeout bounds all rounds together, for a type with more changes than a round brings.
	historyTimeout = time.Minute
	// historyIdle is how many rounds in a row may bring neither event nor bookmark.
	historyIdle = 3
)

// errHistoryStopped says that the API server did not send a bookmark.
var errHistoryStopped = errors.New("the watch of the history has brought nothing for three rounds")

// Deletions calls each for every deletion of a type after one version and up to another, in order. It calls
// each, too, for every change after which an object is not selected any more. The deletions include those of
// objects that a list of the past cannot show, because they were created after it. Deletions costs one short
// watch and keeps nothing.
//
// API servers remember some minutes of changes, and none from before their start. For an older version, or for
// 0, the error is one for which errors.Is(err, ErrExpired) holds. Deletions blocks for a second or two, and for
// a minute at most.
func (l *Lister) Deletions(ctx context.Context, t resource.Type, after, until uint64, each func(Deletion)) error {
	if after == 0 { // For an API server, 0 means any version.
		return fmt.Errorf("watching the history of %s from its beginning: %w", t, ErrExpired)
	}
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	for idle := 0; after < until; idle++ {
		reached, err := l.history(ctx, t, after, until, each)
		if err != nil {
			return fmt.Errorf("watching the history of %s: %w", t, err)
		}
		if reached > after {
			idle = 0
		} else if idle+1 >= historyIdle {
			return fmt.Errorf("watching the history of %s: %w", t, errHistoryStopped)
		}
		after = max(after, reached)
	}
	return nil
}

// history watches for one round, and returns the version up to which it has seen every change.
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
			return reached, ctx.Err() // Deletions adds the context.
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

// ends tells whether an event may have ended the selection of an object: the object was deleted, or is not
// selected after the change. The event does not tell the state before the change, so ends assumes that the
// object was selected.
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

// expired wraps errors about forgotten versions with [ErrExpired].
func expired(err error) error {
	if apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return errors.Join(ErrExpired, err)
	}
	return err
}
