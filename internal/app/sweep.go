package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// sweepPatience is how long a repair waits for the end of its deletions. What is not delivered by then is delivered
// like any other change.
const sweepPatience = 2 * time.Minute

// sweep implements [sweeper]. Deletions go before live changes, so of a large repair few are under way at a
// time. It waits for the last of them only if it is to see the end.
func (t *target) sweep(ctx context.Context, typ resource.Type, gone []place, end bool) (told int, err error) {
	// Nobody knows after which version they were deleted; any tells this deletion from another.
	version := t.index.Type(typ).Version
	var open []resource.ID
	for some := range slices.Chunk(gone, 2*t.format.Defaults().MaxDeletes) {
		if err := t.swept(ctx, open); err != nil {
			return told, err
		}
		open = open[:0]
		for _, g := range some {
			if t.missing(typ, g.namespace, g.name, version, version+1) {
				open = append(open, typ.ID(g.namespace, g.name))
			}
		}
		told += len(open)
	}
	if !end {
		return told, nil
	}
	return told, t.swept(ctx, open)
}

// swept waits until deletions are delivered, but not for longer than sweepPatience.
func (t *target) swept(ctx context.Context, open []resource.ID) error {
	bounded, cancel := context.WithTimeout(ctx, sweepPatience)
	defer cancel()
	if err := t.pipeline.AwaitDeleted(bounded, open); err != nil && ctx.Err() != nil {
		return fmt.Errorf("waiting for deletions: %w", err)
	}
	return nil
}

// repair asks the receiver about the type of a part that was sent. What it can tell is not worth a failure.
func (t *target) repair(ctx context.Context, op operations.Request, part operations.Part) operations.Repair {
	var r operations.Repair
	if part.From != "" { // The member with the first part of a type looks after all of it.
		return r
	}
	if t.orphanFinder.able() {
		a, err := t.orphanFinder.repair(ctx, part.Type, t.scopeOf(part.Type, op), op.Force)
		if r = a.Repair; err != nil {
			t.log.V(1).Info("Documents without an object could not be looked for", "resource", part.Type.String(), "error", err.Error())
		}
	}
	if w, held := t.finder.waits()[part.Type]; held && !op.Force { // else there is a part for it
		r.Held += w.Documents
	}
	return r
}

// release repairs what we hold back, at a person's word.
func (t *target) release(ctx context.Context, op operations.Request) (operations.Repair, error) {
	var r operations.Repair
	types := slices.Clone(op.Types)
	if op.Label == "" { // also those that are served no longer
		types = slices.AppendSeq(types, maps.Keys(t.finder.waits()))
	}
	slices.SortFunc(types, resource.CompareTypes)
	for _, typ := range slices.Compact(types) {
		within := t.scopeOf(typ, op)
		told, err := t.finder.release(ctx, typ, within, t.sweep)
		r.Deleted += told
		if err != nil {
			return r, err
		}
		if _, held := t.orphanFinder.waits()[typ]; !held {
			continue
		}
		a, err := t.orphanFinder.repair(ctx, typ, within, true)
		r.Deleted += a.Deleted
		if err != nil {
			return r, fmt.Errorf("repairing %s: %w", typ, err)
		}
	}
	if r.Deleted > 0 {
		t.log.Info("What was held back is deleted at a person's word", "documents", r.Deleted)
	}
	t.finder.memory.settle()
	return r, nil
}
