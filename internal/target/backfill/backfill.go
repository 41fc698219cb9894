// Package backfill sends the existing objects to a receiver that is added while the replica runs. The watches do
// not show them again, and the index does not hold their bodies. The state of one type:
//
//	         checkpoints cover all that the index knows of it
//	known ──────────────────────────────────────────────────────▶ done
//	  │                                                            ▲
//	  ╰──▶ listed, page by page, as the receiver takes it ─────────┤ all pages are offered, or the type is gone
//	          ▲         │ the list cannot be read                  │
//	          ╰─ 10 s ──╯                                          ╰─ (Run returns when all types are)
//
// A receiver with a projection of its own is shown every object, and covered ones are not sent. [Backfill.Run]
// blocks until every object is offered, or its context ends. The other methods do not block.
package backfill

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
)

// retryAfter is the wait before a type that could not be listed is tried again.
const retryAfter = 10 * time.Second

// Pager reads a type from the API server; [watch.Lister] is one.
type Pager interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
}

// Pipeline takes the existing objects; [pipeline.Pipeline] is one.
type Pipeline interface {
	Apply(c index.Change)
	// Room blocks while the receiver is behind.
	Room(ctx context.Context) error
	// FlushBulk sends items that wait for more.
	FlushBulk()
}

// Receiver is the knowledge about the receiver.
type Receiver struct {
	Projection *projection.Projection
	// Wants tells whether the receiver should have objects like this one. Count returns their number in a type that
	// has been listed.
	Wants func(t resource.Type, namespace, name string) bool
	Count func(t resource.Type) int
	// Covers tells whether the receiver is known to have an object in that version.
	Covers func(t resource.Type, id resource.ID, version uint64) bool
	// Before is the backlog of the receiver's predecessor.
	Before *retired.Backlog
	// Delete deletes the document of an object that was hidden at a version.
	Delete func(t resource.Type, namespace, name string, after, at uint64) bool
}

// Options are the settings of a [Backfill].
type Options struct {
	Receiver

	Index    *index.Index
	Pager    Pager
	Pipeline Pipeline
	Log      logr.Logger
}

// Backfill reads the existing objects for one receiver.
type Backfill struct {
	Options

	remaining atomic.Int64 // objects
	done      atomic.Bool
}

// New returns a Backfill that has not begun.
func New(o Options) *Backfill { return &Backfill{Options: o} }

// Remaining returns roughly how many objects are still to be offered.
func (b *Backfill) Remaining() int64 { return max(b.remaining.Load(), 0) }

// Run offers every existing object, and tells whether it has done so: it has not if ctx ended before. The
// checkpoints must have been read.
func (b *Backfill) Run(ctx context.Context) (done bool) {
	var left []resource.Type
	for _, t := range b.Index.Types() {
		if n := b.Count(t); n > 0 && (b.Projection != nil || !b.coversAll(t)) {
			left = append(left, t)
			b.remaining.Add(int64(n))
		}
	}
	for len(left) > 0 && ctx.Err() == nil {
		var failed []resource.Type
		for _, t := range left {
			if err := b.read(ctx, t); err != nil && ctx.Err() == nil {
				b.Log.Error(err, "Objects could not be read for a new receiver; trying again", "resource", t.String())
				failed = append(failed, t)
			}
		}
		if left = failed; len(left) == 0 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryAfter):
		}
	}
	b.Pipeline.FlushBulk()
	b.remaining.Store(0)
	b.done.Store(ctx.Err() == nil)
	return b.Done()
}

// Done tells whether every object has been offered.
func (b *Backfill) Done() bool { return b.done.Load() }

// coversAll tells whether the receiver is known to have all objects of a type.
func (b *Backfill) coversAll(t resource.Type) bool {
	all := true
	b.Index.All(t, func(namespace, name string, version uint64) bool {
		all = !b.Wants(t, namespace, name) || b.Covers(t, t.ID(namespace, name), version)
		return all
	})
	return all
}

// read lists a type. When the list expires in the middle, as it does under a slow receiver, read continues where
// it was.
func (b *Backfill) read(ctx context.Context, t resource.Type) error {
	_, err := b.Pager.Pages(ctx, t, watch.ListOptions{Inexact: true}, func(rs []resource.Record) error {
		for _, r := range rs {
			if b.Wants(t, r.Namespace, r.Name) {
				b.remaining.Add(-1)
				b.offer(t, r)
			}
		}
		return b.Pipeline.Room(ctx) // before the next page is requested
	})
	if err == nil || b.Index.Type(t) == (index.Stats{}) { // A type that is gone needs no list.
		return nil
	}
	return fmt.Errorf("reading the existing objects: %w", err)
}

// offer takes an existing object. If the receiver should not have it, but got it from its predecessor, its
// document is deleted.
func (b *Backfill) offer(t resource.Type, r resource.Record) {
	left := false
	b.Index.IfCurrent(t, r, func() {
		shown, seen := b.Projection.Show(t, r)
		if seen {
			b.Pipeline.Apply(index.Change{Type: t, ID: t.ID(r.Namespace, r.Name), Record: shown, Cause: index.Initial})
		}
		left = !seen && b.Before.Saw(t, r.Namespace, r.Name)
	})
	if left {
		b.Delete(t, r.Namespace, r.Name, 0, r.ResourceVersion)
	}
}
