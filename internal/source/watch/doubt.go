package watch

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Skeptic is a [Sink] that knows which objects a list lacks, and can take a list without deleting them. If a
// list after the first lacks known objects, the watch asks for single objects before it believes the list. A
// missing object need not be gone: an API server that has lost half of an answer sends the rest as if it were
// complete.
type Skeptic interface {
	// Lacks returns how many objects of a type are known, how many of them a list lacks, and the names of
	// some of those.
	Lacks(t resource.Type, rs []resource.Record, some int) (names []resource.Record, missing, known int)
	// Merge is Replace without deletions: objects that the list lacks stay.
	Merge(t resource.Type, rs []resource.Record, resourceVersion uint64)
}

const (
	// samples is how many of the missing objects are requested one by one.
	samples = 8
	// sampleTimeout bounds the request for one object.
	sampleTimeout = 5 * time.Second
	// doubtPause is the pause between a doubted list and the next one; it doubles up to maxDoubtPause.
	doubtPause, maxDoubtPause = 2 * time.Second, 5 * time.Minute
	// comeBack is how long a restarted aggregated API may take before an object that it lacks counts as gone. Some
	// APIs fill their memory within a minute, and send incomplete answers meanwhile.
	comeBack = 90 * time.Second
)

// verdict is the judgement of a list that lacks known objects.
type verdict uint8

const (
	// believed: the missing objects are gone.
	believed verdict = iota
	// refuted: one of the missing objects exists.
	refuted
	// unproven: single objects cannot be read, or an API that answers from memory may not have them yet.
	unproven
)

// believes tells whether the missing objects of a list are gone. After a doubted list, the type is listed again.
//
//	list lacks nothing, or its samples are gone ──▶ believed
//	a sample is there ─────────────────────────────▶ doubted, until a list is believed
//	samples prove nothing and it lacks much ───────▶ doubted, and believed if the next one lacks much, too
//	aggregated API that has come back ─────────────▶ doubted for 90 s, then like any other
func (w *watcher) believes(ctx context.Context, sink Skeptic, rs []resource.Record) bool {
	names, missing, known := sink.Lacks(w.t, rs, samples)
	v := believed
	if missing > 0 && w.status().Synced() {
		v = w.judge(ctx, names, missing > max(50, known/10) || len(rs) == 0)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if v == unproven && !w.doubt.since.IsZero() && time.Since(w.doubt.since) >= w.doubt.atLeast {
		v = believed
	}
	if v == believed || w.stopped.Load() {
		w.doubt.end()
		return true
	}
	w.m.metrics.doubted.Inc()
	w.doubt.again(w.m.aggregated(w.t), func() { w.again() })
	w.m.opts.Log.Info("List lacks objects that may still exist; nothing is deleted, and the type is listed again",
		"resource", w.t.String(), "missing", missing, "known", known, "in", w.doubt.pause.String())
	return false
}

// judge asks for the missing objects in names, one by one. much says that the list lacks too many objects to be
// believed without any proof.
func (w *watcher) judge(ctx context.Context, names []resource.Record, much bool) verdict {
	aggregated := w.m.aggregated(w.t)
	proven := 0
	for _, n := range names {
		switch there, err := w.there(ctx, n); {
		case err == nil && there:
			return refuted
		case err == nil:
			proven++
		}
	}
	if aggregated || proven == 0 && much {
		return unproven
	}
	return believed
}

// there asks for one object, and tells whether it exists and is selected.
func (w *watcher) there(ctx context.Context, n resource.Record) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	var client metadata.ResourceInterface = w.m.client.Resource(w.t.GVR())
	if n.Namespace != "" {
		client = w.m.client.Resource(w.t.GVR()).Namespace(n.Namespace)
	}
	o, err := client.Get(ctx, n.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case apierrors.IsForbidden(err):
		if o, err = listed(ctx, client, n.Name); o == nil {
			return false, err
		}
	case err != nil:
		return false, err
	}
	_, selected, err := recordOf(o, w.m.opts.Keep) // a list rightly lacks an object that is not selected any more
	return selected, err
}

// errNotListed is no proof of absence, because lists are doubtful.
var errNotListed = errors.New("object is in no list of its name")

// listed asks for one object with a list, for a role that allows lists but no gets. A result proves that the
// object exists; without a result, nothing is proven.
func listed(ctx context.Context, client metadata.ResourceInterface, name string) (*metav1.PartialObjectMetadata, error) {
	list, err := client.List(ctx, metav1.ListOptions{FieldSelector: fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()})
	if err != nil {
		return nil, err
	}
	for i := range list.Items {
		if list.Items[i].Name == name {
			return &list.Items[i], nil
		}
	}
	return nil, errNotListed
}

// aggregated tells whether a type is served by an API of its own, whose objects may live in its memory.
func (m *Manager) aggregated(t resource.Type) bool {
	return m.opts.Aggregated != nil && m.opts.Aggregated(t)
}

// doubt is the doubt about the last lists of a type. Its zero value is no doubt. The watcher's mu guards it.
type doubt struct {
	since   time.Time     // the time of the first of the doubted lists in a row
	atLeast time.Duration // how long the doubt lasts without a proof
	pause   time.Duration // until the next list
	timer   *time.Timer
}

// again calls list after a pause.
func (d *doubt) again(aggregated bool, list func()) {
	if d.since.IsZero() {
		d.since, d.pause, d.atLeast = time.Now(), doubtPause/2, doubtPause
		if aggregated {
			d.pause, d.atLeast = comeBack/2, comeBack
		}
	}
	d.pause = min(2*d.pause, maxDoubtPause)
	if d.timer != nil {
		d.timer.Stop()
	}
	d.timer = time.AfterFunc(d.pause, list)
}

// end drops the doubt.
func (d *doubt) end() {
	if d.timer != nil {
		d.timer.Stop()
	}
	*d = doubt{}
}

const (
	// firstPace is the least pause between two lists that events out of order lead to. The pause doubles up to
	// maxPace; after maxPace without such an event, it is firstPace again.
	firstPace, maxPace = 10 * time.Second, 10 * time.Minute
)

// pace keeps a distance between calls that may be asked for at any time. Its zero value is ready. The watcher's
// mu guards it.
type pace struct {
	pause time.Duration
	last  time.Time // the last call of list, past or scheduled
	timer *time.Timer
}

// next calls list as soon as the pace allows. Further calls of next until then have no effect.
func (p *pace) next(list func()) {
	now := time.Now()
	switch {
	case p.last.After(now): // the call is scheduled
		return
	case p.last.IsZero() || now.Sub(p.last) > maxPace:
		p.pause = firstPace
		p.last = now
	default:
		p.last = p.last.Add(p.pause)
		if p.last.Before(now) {
			p.last = now
		}
		p.pause = min(2*p.pause, maxPace)
	}
	p.end()
	p.timer = time.AfterFunc(p.last.Sub(now), list)
}

func (p *pace) end() {
	if p.timer != nil {
		p.timer.Stop()
	}
}
