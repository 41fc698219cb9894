package resync

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
)

// errNotListed says that a type has no complete list yet; once it has one, everything in it is sent anyway.
var errNotListed = errors.New("its objects have not been read yet; they are sent as soon as they are")

// run is an operation from beginning to end.
func (e *Engine) run(ctx context.Context, op *operation) {
	log := e.opts.Log.WithValues("operation", op.ID, "trigger", string(op.Request.Trigger))
	log.Info("Resync started", "types", len(op.Request.Types), "objects", op.Estimate, "request", op.Request.Label, "namespace", op.Request.Namespace)
	e.metrics.running.Inc()
	defer e.metrics.running.Dec()
	status := Failed
	if e.offer(ctx, op, e.snapshot()) {
		select {
		case <-op.ticket.Arrived():
			status = Done
		case <-ctx.Done():
		}
	}
	e.mu.Lock()
	op.Status, op.FinishedAt = status, time.Now()
	if op.Request.full() {
		e.last = op.FinishedAt
	}
	close(op.done)
	c := op.copy()
	e.mu.Unlock()
	e.metrics.done(status)
	e.poke()
	log.Info("Resync ended", "status", string(status), "objects", c.Offered, "failedTypes", len(c.Failures),
		"duration", c.FinishedAt.Sub(c.StartedAt).Round(time.Millisecond).String())
}

// offer goes through the types of an operation. It returns false when ctx ended before it was through.
func (e *Engine) offer(ctx context.Context, op *operation, targets []Target) bool {
	defer op.ticket.Close()
	for _, t := range op.Request.Types {
		err := e.resyncType(ctx, t, op.Request.Namespace, op.ticket, targets)
		if ctx.Err() != nil {
			return false
		}
		e.mu.Lock()
		op.TypesDone++
		if err != nil {
			op.Failures[t.String()] = err.Error()
		}
		e.mu.Unlock()
		e.metrics.types.Inc()
	}
	for _, t := range targets {
		t.FlushBulk()
	}
	return true
}

// covers tells whether a type has objects in a namespace at all.
func covers(t resource.Type, namespace string) bool {
	switch namespace {
	case "":
		return true
	case resource.ClusterNamespace:
		return !t.Namespaced
	default:
		return t.Namespaced
	}
}

// resyncType lists one type and offers what is current, and returns when all receivers have room again. A list whose
// version expires in the middle is begun again, for a receiver may take longer over a large type than etcd keeps a
// version; what it had reached is not offered twice.
func (e *Engine) resyncType(ctx context.Context, t resource.Type, namespace string, ticket *pipeline.Ticket, targets []Target) error {
	if !covers(t, namespace) {
		return nil
	}
	if !e.catalog.Type(t).Listed {
		return errNotListed
	}
	opts := watch.ListOptions{}
	if t.Namespaced {
		opts.Namespace = namespace
	}
	room := func() error {
		for _, target := range targets {
			if err := target.Room(ctx); err != nil {
				return fmt.Errorf("waiting for a receiver: %w", err)
			}
		}
		return nil
	}
	var from cursor
	page := func(rs []resource.Record) error {
		for _, r := range rs {
			if from.seen(r) {
				continue
			}
			e.catalog.IfCurrent(t, r, func() {
				for _, target := range targets {
					target.Offer(t, r, ticket)
				}
			})
		}
		e.metrics.objects.Add(float64(len(rs)))
		return room() // before the next page is asked for
	}
	if err := room(); err != nil {
		return err
	}
	for {
		_, err := e.lister.Pages(ctx, t, opts, page)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, watch.ErrExpired) && from.again():
		case errors.Is(err, watch.ErrExpired):
			if err := sleep(ctx, expiredPause); err != nil {
				return err
			}
		default:
			return fmt.Errorf("listing: %w", err)
		}
	}
}

// expiredPause is the wait before a list is begun again that expired without having come any further than the one
// before it. An API server that answers so is busy compacting, or broken.
const expiredPause = time.Second

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting to list again: %w", ctx.Err())
	}
}

// cursor remembers how far a list has come, in the memory of two names. API servers list in the order of
// namespace/name; from one that does not, a list that is begun again is taken from its start.
type cursor struct {
	last     string // of the list under way
	reached  string // by any of the lists before
	unsorted bool
	moved    bool // the list under way has got beyond reached
}

// seen takes the next record and tells whether an earlier list had reached it. What was not current then is not
// current now, or the watch brings it.
func (c *cursor) seen(r resource.Record) bool {
	k := r.Namespace + "/" + r.Name
	c.unsorted = c.unsorted || k < c.last
	c.last = k
	if k <= c.reached {
		return true
	}
	c.moved = true
	return false
}

// again begins another list. It tells whether the one before it came further than those before that.
func (c *cursor) again() (moved bool) {
	moved = c.moved
	if !c.unsorted {
		c.reached = max(c.reached, c.last)
	} else {
		c.reached = ""
	}
	c.last, c.moved = "", false
	return moved
}

// How often targets are asked for hollow objects, and how long to wait after a list failed. Both only delay what
// waited for memory anyway.
const (
	fillInterval = time.Second
	fillPause    = 10 * time.Second
)

// fillForever gives hollow objects their bodies back.
func (e *Engine) fillForever(ctx context.Context) {
	wait := fillInterval
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = fillInterval
		for _, target := range e.snapshot() {
			for t := range target.Hollow() {
				if err := e.fill(ctx, target, t); err != nil && ctx.Err() == nil {
					e.opts.Log.Error(err, "Objects without metadata could not be read again", "resource", t.String())
					wait = fillPause
				}
			}
		}
	}
}

func (e *Engine) fill(ctx context.Context, target Target, t resource.Type) error {
	if err := target.Room(ctx); err != nil {
		return err
	}
	_, err := e.lister.Pages(ctx, t, watch.ListOptions{}, func(rs []resource.Record) error {
		for _, r := range rs {
			e.catalog.IfCurrent(t, r, func() { target.Fill(t, r) })
		}
		return target.Room(ctx) // before the next page is asked for
	})
	target.FlushBulk()
	if err != nil && !errors.Is(err, watch.ErrExpired) { // What an expired list did not reach is still hollow.
		return fmt.Errorf("listing %s: %w", t, err)
	}
	return nil
}
