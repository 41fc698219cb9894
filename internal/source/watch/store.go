package watch

import (
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// store passes changes from a Follower to the Sink. It keeps no object.
type store struct {
	w     *watcher
	round *round

	// mu serialises calls to the Sink. The Follower calls from one goroutine, but the Reflector does not promise
	// to, and the Sink relies on it.
	mu sync.Mutex
}

var (
	_ cache.TransformingStore      = (*store)(nil)
	_ cache.ReflectorBookmarkStore = (*store)(nil)
)

// Transformer returns a function that turns metadata into items before the Reflector keeps them. The Reflector calls
// it for one object of a list after the other.
func (s *store) Transformer() cache.TransformFunc {
	var list items
	return func(obj any) (any, error) {
		if o, ok := obj.(*metav1.PartialObjectMetadata); ok {
			return list.add(&o.ObjectMeta, s.w.m.opts.Keep), nil
		}
		return obj, nil
	}
}

// Replace reports a complete list. Its items are transformed ones, from a stream or from our own lists.
func (s *store) Replace(objs []any, resourceVersion string) error {
	rs := make([]resource.Record, 0, len(objs))
	for i, obj := range objs {
		r, selected, err := recordOf(obj, s.w.m.opts.Keep)
		if err != nil {
			return err
		}
		objs[i] = nil // the list is ours, so an object can be freed once it has been read
		if selected && s.w.match(r) {
			rs = append(rs, r)
		}
	}
	version, n := resource.ParseVersion(resourceVersion), len(rs)
	report := func(sink Sink) { sink.Replace(s.w.t, rs, version) }
	if skeptic, ok := s.w.m.sink.(Skeptic); ok && !s.w.believes(s.round.ctx, skeptic, rs) {
		report = func(Sink) { skeptic.Merge(s.w.t, rs, version) }
	}
	if s.call(report) {
		s.w.listed(n, version)
		s.round.hasBeenListed()
	}
	return nil
}

// Add reports an object that was created.
func (s *store) Add(obj any) error { return s.upsert(obj) }

// Update reports an object that was changed.
func (s *store) Update(obj any) error { return s.upsert(obj) }

func (s *store) upsert(obj any) error {
	r, selected, err := recordOf(obj, s.w.m.opts.Keep)
	if err != nil {
		return err
	}
	switch {
	case !s.w.match(r):
	case selected:
		s.call(func(sink Sink) { sink.Upsert(s.w.t, r) })
	default:
		s.call(func(sink Sink) { sink.Leave(s.w.t, r.Namespace, r.Name, r.ResourceVersion) })
	}
	s.w.reached(r.ResourceVersion)
	return nil
}

// Delete reports an object that was deleted.
func (s *store) Delete(obj any) error {
	r, selected, err := recordOf(obj, s.w.m.opts.Keep)
	if err != nil {
		return err
	}
	switch {
	case !s.w.match(r):
	case !selected:
		// The object was left out, or a list replaced the event that would have said so.
		s.call(func(sink Sink) { sink.Leave(s.w.t, r.Namespace, r.Name, r.ResourceVersion) })
	default:
		s.call(func(sink Sink) { sink.Delete(s.w.t, r.Namespace, r.Name, r.ResourceVersion) })
	}
	s.w.reached(r.ResourceVersion)
	return nil
}

// Bookmark reports a version up to which every change was reported.
func (s *store) Bookmark(resourceVersion string) error {
	version := resource.ParseVersion(resourceVersion)
	s.call(func(sink Sink) { sink.Bookmark(s.w.t, version) })
	s.w.reached(version)
	return nil
}

// Resync does nothing, because other packages decide what is sent again.
func (s *store) Resync() error { return nil }

// call calls the Sink unless the watch has been stopped, and tells whether it did.
func (s *store) call(f func(Sink)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.w.stopped.Load() {
		return false
	}
	f(s.w.m.sink)
	return true
}
