package workload

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Op is one kind of change.
type Op string

// These are the changes of a Churn. Each comment names the effect on a receiver.
const (
	OpLabel    Op = "label"    // a label gets a new value: an upsert
	OpDescribe Op = "describe" // the description gets a new value: an upsert
	OpFlip     Op = "flip"     // a label is changed and changed back at once: at most two upserts, and the old content
	OpStatus   Op = "status"   // the status is written: nothing
	OpNoise    Op = "noise"    // an annotation that no filter keeps gets a new value: nothing
	OpDelete   Op = "delete"   // the object is deleted: a delete, or with a finalizer nothing yet
	OpFinalize Op = "finalize" // a deleted object's finalizers are removed: a delete
	// OpRecreate deletes the object and creates it again under its name: an upsert, for it is another object.
	OpRecreate Op = "recreate"
	OpCreate   Op = "create" // an object is created: an upsert
)

// ChurnOptions bound a [Cluster.Churn]. The zero value makes 50 changes a second until the context ends.
type ChurnOptions struct {
	// Rate is the changes per second, over all workers. Zero means 50, a negative one means no limit.
	Rate float64
	// Changes is how many changes there are. Zero means no limit.
	Changes int
	// For is for how long changes are begun. Zero means no limit.
	For time.Duration
	// Workers is how many changes are made at once. Each worker has objects of its own, in an order that the seed
	// decides. So the changes of one object do not depend on speed. Zero means 8.
	Workers int
	// Seed decides all changes.
	Seed uint64
	// Only limits the changes to types for which it returns true. Nil means all.
	Only func(resource.Type) bool
}

// Change is one change that was made, or tried.
type Change struct {
	// Op is the kind of the change.
	Op Op
	// ID is the object that was changed.
	ID resource.ID
	// At is when the API server had answered the last request of the change.
	At time.Time
	// Err is nil when it succeeded. After an error it is unknown whether it was made; the next change finds out.
	Err error
}

// Churn changes the cluster at random and blocks until it has made all changes or the context has ended, which is no
// error. It returns its changes, ordered by time. A change that fails is in the log with its error, and the churn
// goes on: it must survive an API server that is down for a while.
func (c *Cluster) Churn(ctx context.Context, opts ChurnOptions) []Change {
	limit := rate.Limit(opts.Rate)
	switch {
	case opts.Rate == 0:
		limit = 50
	case opts.Rate < 0:
		limit = rate.Inf
	}
	if opts.Workers == 0 {
		opts.Workers = 8
	}
	limiter := rate.NewLimiter(limit, opts.Workers)
	workers := c.split(opts)
	var until time.Time
	if opts.For > 0 {
		until = time.Now().Add(opts.For)
	}
	var wg sync.WaitGroup
	for i, w := range workers {
		quota := -1
		if opts.Changes > 0 {
			quota = opts.Changes/opts.Workers + btoi(i < opts.Changes%opts.Workers)
		}
		wg.Go(func() { w.run(ctx, limiter, quota, until) }) // ends with its quota, the time or the context
	}
	wg.Wait()
	var done []Change
	for _, w := range workers {
		done = append(done, w.done...)
		c.objects = append(c.objects, w.born...)
	}
	slices.SortStableFunc(done, func(a, b Change) int { return a.At.Compare(b.At) })
	return done
}

// Count counts changes that succeeded, by kind.
func Count(changes []Change) map[Op]int {
	counts := make(map[Op]int)
	for _, c := range changes {
		if c.Err == nil {
			counts[c.Op]++
		}
	}
	return counts
}

// split gives each object that may be changed to one worker.
func (c *Cluster) split(opts ChurnOptions) []*worker {
	workers := make([]*worker, opts.Workers)
	for i := range workers {
		workers[i] = &worker{client: c.client, name: strconv.Itoa(i), rng: rand.New(rand.NewPCG(opts.Seed, uint64(i)))}
	}
	n := 0
	for _, l := range c.objects {
		if opts.Only == nil || opts.Only(l.typ()) {
			w := workers[n%len(workers)]
			w.objects = append(w.objects, l)
			n++
		}
	}
	return workers
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// worker makes changes, one after another, to its own objects.
type worker struct {
	client  dynamic.Interface
	name    string
	rng     *rand.Rand
	objects []*live
	born    []*live
	done    []Change
}

func (w *worker) run(ctx context.Context, limiter *rate.Limiter, quota int, until time.Time) {
	for n := 0; n != quota && len(w.objects) > 0; n++ {
		if limiter.Wait(ctx) != nil || !until.IsZero() && time.Now().After(until) {
			return
		}
		l := pick(w.rng, w.objects)
		op := w.draw(l)
		id, err := w.apply(ctx, op, l, n)
		if ctx.Err() != nil && err != nil {
			return // the change was cut off, which says nothing about the API server
		}
		w.done = append(w.done, Change{Op: op, ID: id, At: time.Now(), Err: err})
	}
}

// draw picks a change for an object. Shares are in percent.
func (w *worker) draw(l *live) Op {
	switch l.state {
	case absent:
		return OpCreate
	case terminating:
		return OpFinalize
	case present:
	}
	n := w.rng.IntN(100)
	for _, o := range []struct {
		op    Op
		share int
	}{
		{OpLabel, 25}, {OpDescribe, 15}, {OpFlip, 5}, {OpStatus, 20}, {OpNoise, 5}, {OpDelete, 10}, {OpRecreate, 10}, {OpCreate, 10},
	} {
		if n -= o.share; n < 0 {
			if o.op == OpStatus && l.template.Status == "" {
				return OpNoise
			}
			return o.op
		}
	}
	return OpNoise
}

// apply makes change n of this worker.
func (w *worker) apply(ctx context.Context, op Op, l *live, n int) (resource.ID, error) {
	value := fmt.Sprintf("w%s-%d-%d", w.name, n, w.rng.IntN(1000))
	var err error
	switch op {
	case OpLabel:
		err = w.patch(ctx, l, metadataPatch("labels", "churn.example.com/label", value))
	case OpDescribe:
		err = w.patch(ctx, l, metadataPatch("annotations", "description", "Changed to "+value+", "+pick(w.rng, foreign)))
	case OpNoise:
		err = w.patch(ctx, l, metadataPatch("annotations", "churn.example.com/noise", value))
	case OpFlip:
		if err = w.patch(ctx, l, metadataPatch("labels", "churn.example.com/flip", value)); err == nil {
			err = w.patch(ctx, l, metadataPatch("labels", "churn.example.com/flip", nil))
		}
	case OpStatus:
		var v any = int64(n + 1)
		if l.template.Status == "message" {
			v = value
		}
		err = w.patch(ctx, l, map[string]any{"status": map[string]any{l.template.Status: v}}, "status")
	case OpDelete:
		err = w.remove(ctx, l)
	case OpFinalize:
		err = w.finalize(ctx, l)
	case OpRecreate:
		err = w.recreate(ctx, l)
	case OpCreate:
		return w.create(ctx, l, value)
	}
	return l.id(), err
}

func metadataPatch(field, key string, value any) map[string]any {
	return map[string]any{"metadata": map[string]any{field: map[string]any{key: value}}}
}

func (w *worker) at(l *live) dynamic.ResourceInterface {
	return w.client.Resource(l.typ().GVR()).Namespace(l.manifest.GetNamespace())
}

func (w *worker) patch(ctx context.Context, l *live, body map[string]any, subresources ...string) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encoding a patch: %w", err)
	}
	_, err = w.at(l).Patch(ctx, l.manifest.GetName(), types.MergePatchType, encoded, metav1.PatchOptions{FieldManager: "churn"}, subresources...)
	if apierrors.IsNotFound(err) {
		l.state = absent
	}
	return err
}

// remove deletes the object; with a finalizer it stays, marked.
func (w *worker) remove(ctx context.Context, l *live) error {
	// Jobs and replication controllers would otherwise wait for a garbage collector, which this cluster lacks.
	background := metav1.DeletePropagationBackground
	err := w.at(l).Delete(ctx, l.manifest.GetName(), metav1.DeleteOptions{PropagationPolicy: &background})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	l.state = absent
	if l.finalizer && err == nil {
		l.state = terminating
	}
	return nil
}

func (w *worker) finalize(ctx context.Context, l *live) error {
	err := w.patch(ctx, l, map[string]any{"metadata": map[string]any{"finalizers": nil}})
	if err == nil || apierrors.IsNotFound(err) {
		l.state = absent
		return nil
	}
	return err
}

func (w *worker) recreate(ctx context.Context, l *live) error {
	if err := w.remove(ctx, l); err != nil {
		return err
	}
	if l.state == terminating {
		if err := w.finalize(ctx, l); err != nil {
			return err
		}
	}
	return w.bear(ctx, l)
}

// bear creates the object of l. If it exists already, after an answer that got lost, that is as good.
func (w *worker) bear(ctx context.Context, l *live) error {
	err := l.create(ctx, w.client)
	if apierrors.IsAlreadyExists(err) {
		l.state, l.finalizer = present, true // at worst it is finalized without need
		return nil
	}
	return err
}

// create makes an absent object again, or another one of its kind beside a present one.
func (w *worker) create(ctx context.Context, l *live, suffix string) (resource.ID, error) {
	if l.state == absent {
		return l.id(), w.bear(ctx, l)
	}
	another := &live{template: l.template, manifest: l.manifest.DeepCopy()}
	another.manifest.SetName(singular(l.typ()) + "-" + suffix)
	if err := w.bear(ctx, another); err != nil {
		return another.id(), err
	}
	w.objects = append(w.objects, another)
	w.born = append(w.born, another)
	return another.id(), nil
}
