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

// sweepPatience is how long a repair waits for the end of its deletions. What is not delivered by then is delivered
// like any other change.
const sweepPatience = 2 * time.Minute

// Pipeline takes deletions; [pipeline.Pipeline] does.
type Pipeline interface {
	Apply(c index.Change)
	// AwaitDeleted waits until documents are deleted.
	AwaitDeleted(ctx context.Context, ids []resource.ID) error
}

// Deleter has a receiver's documents deleted whose objects are gone. All its fields must be set.
type Deleter struct {
	Index    *index.Index
	Pipeline Pipeline
	// Hides tells whether the receiver is not to have an object that is there.
	Hides func(t resource.Type, namespace, name string) bool
	// Gone tells whether a type is known to be served no longer.
	Gone func(t resource.Type) bool
	// MaySend tells whether an object is ours to send.
	MaySend func(t resource.Type, id resource.ID) bool
	// Hurry makes our next checkpoint due at once: the owner of an object waits for it.
	Hurry func()
	// Chunk is how many deletions are under way at a time.
	Chunk int
}

// Delete tells the receiver that an object is gone, unless it is there and the receiver is to have it, or its type is
// there and has not been listed. It was deleted after one version, and not after another. Delete tells whether it did.
func (d *Deleter) Delete(t resource.Type, namespace, name string, after, at uint64) bool {
	r := resource.Record{Namespace: namespace, Name: name, ResourceVersion: at}
	told := d.DeleteAbsent(t, r, after, d.Gone(t))
	if told && !d.MaySend(t, t.ID(namespace, name)) {
		d.Hurry()
	}
	return told
}

// DeleteAbsent is Delete of an object whose last version or digest is known; gone tells that its type is served no
// longer. No change of the object is applied meanwhile.
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

// Sweep has documents deleted, and returns how many deletions were told. Deletions go before live changes, so
// of a large repair few are under way at a time. It returns when the last are on their way, or, to the end, when they
// are delivered, or after a while.
func (d *Deleter) Sweep(ctx context.Context, t resource.Type, gone []guard.Object, end bool) (told int, err error) {
	// Nobody knows after which version they were deleted; any tells this deletion from another.
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

// deliver returns what was told of a chunk.
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
