package repair

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// sweepPatience is how long a repair waits for the end of its deletions. Deletions that are not delivered by then
// are delivered like any other change.
const sweepPatience = 2 * time.Minute

// Pipeline takes deletions; [pipeline.Pipeline] does.
type Pipeline interface {
	Apply(c index.Change)
	// AwaitDeleted waits until documents are deleted.
	AwaitDeleted(ctx context.Context, ids []resource.ID) error
}

// Deleter deletes a receiver's documents whose objects are gone. All its fields must be set.
type Deleter struct {
	Index    *index.Index
	Pipeline Pipeline
	// Hides tells whether the receiver does not select an existing object.
	Hides func(t resource.Type, namespace, name string) bool
	// Gone tells whether a type is known to be no longer served.
	Gone func(t resource.Type) bool
	// MaySend tells whether an object is ours to send.
	MaySend func(t resource.Type, id resource.ID) bool
	// Hurry makes our next checkpoint due at once: the owner of an object waits for it.
	Hurry func()
	// Chunk is how many deletions are under way at a time.
	Chunk int
}

// Delete tells the receiver that an object is gone. It does nothing if the object exists and the receiver selects
// it, or if its type exists and has not been listed. The deletion happened after the first version, and not after
// the second. Delete tells whether it deleted.
func (d *Deleter) Delete(t resource.Type, namespace, name string, after, at uint64) bool {
	r := resource.Record{Namespace: namespace, Name: name, ResourceVersion: at}
	told := d.DeleteAbsent(t, r, after, d.Gone(t))
	if told && !d.MaySend(t, t.ID(namespace, name)) {
		d.Hurry()
	}
	return told
}

// DeleteAbsent is Delete for an object whose last version or digest is known; gone tells that its type is no
// longer served. No change of the object is applied meanwhile.
func (d *Deleter) DeleteAbsent(t resource.Type, r resource.Record, after uint64, gone bool) bool {
	tell := func() {
		id := t.ID(r.Namespace, r.Name)
		d.Pipeline.Apply(index.Change{Type: t, ID: id, Deleted: true, Cause: index.Found, After: after, Record: r})
	}
	if gone && d.Index.IfUnserved(t, tell) || d.Index.IfAbsent(t, r.Namespace, r.Name, tell) {
		return true
	}
	return d.Hides(t, r.Namespace, r.Name) && d.Index.IfKnown(t, r.Namespace, r.Name, func(uint64) bool {
		hidden := d.Hides(t, r.Namespace, r.Name)
		if hidden {
			tell()
		}
		return hidden
	})
}

// Sweep deletes documents, and returns the number of deletions. Deletions go before live changes, so Sweep keeps
// few of a large repair under way at a time. It returns when the last are on their way, or, with end, when they
// are delivered, or after a while.
func (d *Deleter) Sweep(ctx context.Context, t resource.Type, gone []guard.Object, end bool) (told int, err error) {
	// The version after which they were deleted is unknown; any version distinguishes this deletion from another.
	version := d.Index.Type(t).Version
	var open []resource.ID
	for chunk := range slices.Chunk(gone, d.Chunk) {
		if err := d.await(ctx, open); err != nil {
			return told, err
		}
		open = d.deliver(t, chunk, version)
		told += len(open)
	}
	if !end {
		return told, nil
	}
	return told, d.await(ctx, open)
}

// deliver passes the deletions of a chunk on, and returns those that were necessary.
func (d *Deleter) deliver(t resource.Type, chunk []guard.Object, version uint64) (open []resource.ID) {
	for _, o := range chunk {
		if d.Delete(t, o.Namespace, o.Name, version, version+1) {
			open = append(open, t.ID(o.Namespace, o.Name))
		}
	}
	return open
}

// await waits until deletions are delivered, but not for longer than sweepPatience.
func (d *Deleter) await(ctx context.Context, open []resource.ID) error {
	bounded, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	if err := d.Pipeline.AwaitDeleted(bounded, open); err != nil && ctx.Err() != nil {
		return fmt.Errorf("waiting for deletions: %w", err)
	}
	return nil
}
