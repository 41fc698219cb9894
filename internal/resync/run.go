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
	targets := e.snapshot()
	e.metrics.running.Inc()
	defer e.metrics.running.Dec()
	for _, t := range op.Request.Types {
		err := e.resyncType(ctx, t, op.Request.Namespace, op.ticket, targets)
		e.mu.Lock()
		op.TypesDone++
		if err != nil {
			op.Failures[t.String()] = err.Error()
		}
		e.mu.Unlock()
		e.metrics.types.Inc()
		if ctx.Err() != nil {
			break
		}
	}
	for _, t := range targets {
		t.FlushBulk()
	}
	op.ticket.Close()
	status := Done
	select {
	case <-op.ticket.Arrived():
	case <-ctx.Done():
		status = Failed
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

// resyncType lists one type and offers what is current. A list whose version expires in the middle is begun again, for
// a receiver may take longer over a large type than etcd keeps a version; what was offered then is offered twice.
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
	offered := make(map[string]struct{})
	page := func(rs []resource.Record) error {
		for _, target := range targets {
			if err := target.Room(ctx); err != nil {
				return fmt.Errorf("waiting for a receiver: %w", err)
			}
		}
		for _, r := range rs {
			k := r.Namespace + "/" + r.Name
			if _, again := offered[k]; again {
				continue
			}
			if e.catalog.IfCurrent(t, r, func() {
				for _, target := range targets {
					target.Offer(t, r, ticket)
				}
			}) {
				offered[k] = struct{}{}
			}
		}
		e.metrics.objects.Add(float64(len(rs)))
		return nil
	}
	for {
		_, err := e.lister.Pages(ctx, t, opts, page)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, watch.ErrExpired) && ctx.Err() == nil:
			continue
		default:
			return fmt.Errorf("listing: %w", err)
		}
	}
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
		if err := target.Room(ctx); err != nil {
			return err
		}
		for _, r := range rs {
			e.catalog.IfCurrent(t, r, func() { target.Fill(t, r) })
		}
		return nil
	})
	target.FlushBulk()
	if err != nil && !errors.Is(err, watch.ErrExpired) { // What an expired list did not reach is still hollow.
		return fmt.Errorf("listing %s: %w", t, err)
	}
	return nil
}
