package plan

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// Receiver holds the properties of one receiver that the plan needs.
type Receiver struct {
	// Name is the name of the target.
	Name string
	// Format is the format of the receiver.
	Format wire.Format
	// Debounce and MaxWait say when a change is sent.
	Debounce, MaxWait time.Duration
	// View is the part that the receiver sees of what the process keeps; nil for everything.
	View *View
}

// View is narrower than what a process keeps.
type View struct {
	Types      resource.Filter
	Namespaces watch.NamespaceFilter
	Selection  resource.Selection
}

// kept says what the process keeps of the objects that it reads.
type kept struct {
	namespaces watch.NamespaceFilter
	selection  resource.Selection
}

// record returns the record of an object, or why the object is left out.
func (k kept) record(t resource.Type, o *metav1.ObjectMeta) (r resource.Record, reason string) {
	if !k.namespaces.Match(t, o.Namespace, o.Name) {
		return r, byNamespace
	}
	if why := k.selection.Excludes(o); why != resource.Selected {
		return r, why.String()
	}
	r, _ = k.selection.Record(o)
	return r, ""
}

// look returns a record as the receiver sees it, or why it does not see the object.
func (v *View) look(t resource.Type, r resource.Record) (seen resource.Record, reason string) {
	switch {
	case v == nil:
		return r, ""
	case !v.Types.Match(t):
		return r, byType
	case !v.Namespaces.Match(t, r.Namespace, r.Name):
		return r, byNamespace
	}
	seen, why := v.Selection.Look(r)
	if why != resource.Selected {
		return r, why.String()
	}
	return seen, ""
}

// amount is how much is sent.
type amount struct {
	objects int
	bytes   int64
}

// tally counts the objects of one list for one receiver, and then their changes.
type tally struct {
	receiver   Receiver
	kept       kept
	watched    bool
	namespaces map[string]*amount
	leftOut    map[string]int
	changes    *tracker
}

func newTally(r Receiver, k kept, watched bool) *tally {
	return &tally{
		receiver: r, kept: k, watched: watched, namespaces: make(map[string]*amount), leftOut: make(map[string]int),
		changes: newTracker(r.Debounce, r.MaxWait),
	}
}

// see returns an object as the receiver sees it, or why the receiver does not see it.
func (c *tally) see(t resource.Type, o *metav1.ObjectMeta) (r resource.Record, reason string) {
	if r, reason = c.kept.record(t, o); reason != "" {
		return r, reason
	}
	return c.receiver.View.look(t, r)
}

// list takes an object of a list.
func (c *tally) list(t resource.Type, o *metav1.ObjectMeta) {
	r, reason := c.see(t, o)
	if reason != "" {
		c.leftOut[reason]++
		return
	}
	id := t.ID(r.Namespace, r.Name)
	item := wire.Item{ID: id, Type: t, Namespace: r.Namespace, Name: r.Name, Body: r.Body}
	namespace := r.Namespace
	if namespace == "" {
		namespace = resource.ClusterNamespace
	}
	sum := c.namespaces[namespace]
	if sum == nil {
		sum = &amount{}
		c.namespaces[namespace] = sum
	}
	sum.objects++
	sum.bytes += int64(c.receiver.Format.UpsertSize(item))
	if c.watched {
		c.changes.begin(id, r)
	}
}

// change takes an object of a watch.
func (c *tally) change(t resource.Type, o *metav1.ObjectMeta, deleted bool, now time.Time) {
	r, reason := c.see(t, o)
	if deleted || reason != "" {
		c.changes.remove(t.ID(o.Namespace, o.Name), now)
		return
	}
	c.changes.upsert(t.ID(r.Namespace, r.Name), r, now)
}
