package watchtest

import (
	"context"
	"maps"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
)

// Watch opens a watch. The watch ends with ctx, with Stop, or when the server ends it.
func (g *getter) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	streamed := opts.SendInitialEvents != nil && *opts.SendInitialEvents
	err := g.ready(ctx, func(r *Requests) {
		r.selected(opts.LabelSelector)
		if streamed {
			r.Streams++
		} else {
			r.Watches++
		}
	})
	if err != nil {
		return nil, err
	}
	g.s.mu.Lock()
	defer g.s.mu.Unlock()
	c := g.s.collection(g.gvr)
	w := &session{g: g, c: c, epoch: c.epoch, out: make(chan apiwatch.Event)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	var first []apiwatch.Event
	switch {
	case streamed && !c.noStream:
		first = c.initial(g.s.version)
		w.cursor = g.s.version
	case streamed:
		w.cursor = g.s.version
	default:
		w.cursor, _ = strconv.ParseUint(opts.ResourceVersion, 10, 64)
		if w.cursor < g.s.compacted {
			status := apierrors.NewResourceExpired("too old resource version").Status()
			first = []apiwatch.Event{{Type: apiwatch.Error, Object: &status}}
		}
	}
	go w.run(first)
	return w, nil
}

// initial returns a streamed list: all objects, and the bookmark that ends the list.
func (c *collection) initial(version uint64) []apiwatch.Event {
	state := c.at(version)
	var events []apiwatch.Event
	for _, k := range slices.Sorted(maps.Keys(state)) {
		if !c.hides(state[k]) {
			events = append(events, apiwatch.Event{Type: apiwatch.Added, Object: state[k].DeepCopy()})
		}
	}
	end := &metav1.PartialObjectMetadata{}
	end.ResourceVersion = strconv.FormatUint(version, 10)
	end.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
	return append(events, apiwatch.Event{Type: apiwatch.Bookmark, Object: end})
}

// session is one watch.
type session struct {
	g      *getter
	c      *collection
	epoch  int
	cursor uint64
	out    chan apiwatch.Event
	ctx    context.Context
	cancel context.CancelFunc
}

func (w *session) ResultChan() <-chan apiwatch.Event { return w.out }

func (w *session) Stop() { w.cancel() }

func (w *session) run(events []apiwatch.Event) {
	defer close(w.out)
	defer w.cancel()
	for {
		for _, e := range events {
			select {
			case w.out <- e:
			case <-w.ctx.Done():
				return
			}
			if e.Type == apiwatch.Error {
				return
			}
		}
		var changed <-chan struct{}
		var ended bool
		if events, changed, ended = w.next(); ended {
			return
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-w.ctx.Done():
			return
		}
	}
}

// next returns the events since the cursor, a channel that is closed after the next change, and whether the
// watch has ended.
func (w *session) next() (events []apiwatch.Event, changed <-chan struct{}, ended bool) {
	w.g.s.mu.Lock()
	defer w.g.s.mu.Unlock()
	switch {
	case w.epoch <= w.c.silenced:
		return nil, w.c.changed, false
	case w.epoch < w.c.epoch:
		return nil, nil, true
	}
	for _, e := range w.c.log {
		if e.version <= w.cursor || w.g.namespace != "" && e.object.Namespace != w.g.namespace && e.kind != apiwatch.Bookmark {
			continue
		}
		w.cursor = e.version
		if !e.lost {
			events = append(events, apiwatch.Event{Type: e.kind, Object: e.object.DeepCopy()})
		}
	}
	return events, w.c.changed, false
}
