package app

import (
	"context"
	"fmt"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// adopt brings a target that began late the objects of the types that had been read before: the watches do not tell of
// them again, and the index does not hold what is to be sent. Each such type is listed, as the receiver takes
// it, unless checkpoints cover all that the index knows of it. One that has a view of its own is shown
// everything, of which what is covered is not sent. A target that was there from the start has nothing to
// adopt.
// adoptPause is the wait before a type that could not be read is read again.
const adoptPause = 10 * time.Second

func (t *target) adopt(ctx context.Context) error {
	if !t.late {
		t.adopted.Store(true)
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-t.store.Synced():
	}
	var left []resource.Type
	for _, typ := range t.index.Types() {
		if n := t.wanted(typ); n > 0 && (t.projection != nil || !t.coversAll(typ)) {
			left = append(left, typ)
			t.unread.Add(int64(n))
		}
	}
	for len(left) > 0 && ctx.Err() == nil {
		var failed []resource.Type
		for _, typ := range left {
			if err := t.adoptType(ctx, typ); err != nil && ctx.Err() == nil {
				t.log.Error(err, "Objects could not be read for a new receiver; trying again", "resource", typ.String())
				failed = append(failed, typ)
			}
		}
		if left = failed; len(left) == 0 {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(adoptPause):
		}
	}
	t.pipeline.FlushBulk()
	t.unread.Store(0)
	t.adopted.Store(ctx.Err() == nil)
	return nil
}

// wanted counts the objects of a type that the receiver is to have, of those that have been listed.
func (t *target) wanted(typ resource.Type) (n int) {
	stats := t.index.Type(typ)
	if !stats.Listed || !t.spec.types.Match(typ) {
		return 0
	}
	if t.spec.namespaces.Everything() {
		return stats.Objects - t.projection.Hidden(typ)
	}
	t.index.All(typ, func(namespace, name string, _ uint64) bool {
		if t.wants(typ, namespace, name) {
			n++
		}
		return true
	})
	return max(n-t.projection.Hidden(typ), 0)
}

// coversAll tells whether the receiver is known to have all objects of a type.
func (t *target) coversAll(typ resource.Type) bool {
	all := true
	t.index.All(typ, func(namespace, name string, version uint64) bool {
		all = !t.wants(typ, namespace, name) || t.ledger.Covers(typ.String(), typ.ID(namespace, name), version)
		return all
	})
	return all
}

// adoptType lists a type, and goes on where it was when the list expires in the middle, as it does under a
// slow receiver.
func (t *target) adoptType(ctx context.Context, typ resource.Type) error {
	_, err := t.lister.Pages(ctx, typ, watch.ListOptions{Inexact: true}, func(rs []resource.Record) error {
		for _, r := range rs {
			if !t.wants(typ, r.Namespace, r.Name) {
				continue
			}
			t.unread.Add(-1)
			t.adoptRecord(typ, r)
		}
		return t.pipeline.Room(ctx) // before the next page is asked for
	})
	if err == nil || t.index.Type(typ) == (index.Stats{}) { // or the type is gone
		return nil
	}
	return fmt.Errorf("reading what there is: %w", err)
}

// adoptRecord takes in an object that is there. One that the receiver is not to have any more, but had of its
// predecessor, is deleted.
func (t *target) adoptRecord(typ resource.Type, r resource.Record) {
	left := false
	t.index.IfCurrent(typ, r, func() {
		shown, seen := t.projection.Show(typ, r)
		if seen {
			t.pipeline.Apply(index.Change{Type: typ, ID: typ.ID(r.Namespace, r.Name), Record: shown, Cause: index.Initial})
		}
		left = !seen && t.retiredBacklog.saw(typ, r.Namespace, r.Name)
	})
	if left {
		t.deleter.Delete(typ, r.Namespace, r.Name, 0, r.ResourceVersion)
	}
}
