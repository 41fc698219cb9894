package target

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// repair asks the receiver for documents of the type of a sent part. An error does not fail the part.
func (t *Target) repair(ctx context.Context, op operations.Request, part operations.Part) operations.Repair {
	var r operations.Repair
	if part.From != "" { // The member with the first part of a type looks after the whole type.
		return r
	}
	if t.orphanFinder.Able() {
		found, err := t.orphanFinder.Repair(ctx, part.Type, t.scopeOf(part.Type, op), op.Force)
		r.Deleted, r.Held = found.Deleted, found.Held
		if err != nil {
			t.log.V(1).Info("The search for orphans has failed", "resource", part.Type.String(), "error", err.Error())
		}
	}
	if w, held := t.finder.Held()[part.Type]; held && !op.Force { // With force, there is a part for it.
		r.Held += w.Documents
	}
	return r
}

// release carries out the held repairs, with a person's consent.
func (t *Target) release(ctx context.Context, op operations.Request) (operations.Repair, error) {
	var r operations.Repair
	types := slices.Clone(op.Types)
	if op.Label == "" { // Without a label, types that are not served any more are included.
		types = slices.AppendSeq(types, maps.Keys(t.finder.Held()))
	}
	slices.SortFunc(types, resource.CompareTypes)
	for _, typ := range slices.Compact(types) {
		within := t.scopeOf(typ, op)
		told, err := t.finder.Release(ctx, typ, within, t.deleter.Sweep)
		r.Deleted += told
		if err != nil {
			return r, err
		}
		if _, held := t.orphanFinder.Held()[typ]; !held {
			continue
		}
		found, err := t.orphanFinder.Repair(ctx, typ, within, true)
		r.Deleted += found.Deleted
		if err != nil {
			return r, fmt.Errorf("repairing %s: %w", typ, err)
		}
	}
	if r.Deleted > 0 {
		t.log.Info("A resync with force releases a held repair; its documents are deleted", "documents", r.Deleted)
	}
	t.finder.Settle()
	return r, nil
}
