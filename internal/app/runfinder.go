package app

import (
	"context"
	"errors"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// missing tells the receiver that an object is gone, unless it is there and the receiver is to have it, or its type is
// there and has not been listed. It was deleted after one version, and not after another.
func (t *target) missing(typ resource.Type, namespace, name string, after, at uint64) bool {
	tell := t.deletion(typ, namespace, name, after, at)
	told := t.ifAbsent(t.finder.isGone(typ), typ, namespace, name, tell)
	if told && !t.member.MaySend(typ, typ.ID(namespace, name)) {
		t.tombstones.Hurry() // Its owner waits for our checkpoint.
	}
	return told
}

// ifAbsent calls f if an object is not there, or the receiver is not to have it, and tells whether it was
// called. Gone tells that the type is served no longer. No change of the object is applied while f runs.
func (t *target) ifAbsent(gone bool, typ resource.Type, namespace, name string, f func()) bool {
	if gone && t.index.IfUnserved(typ, f) || t.index.IfAbsent(typ, namespace, name, f) {
		return true
	}
	return t.projection.Hides(typ, namespace, name) && t.index.IfKnown(typ, namespace, name, func(uint64) bool {
		hidden := t.projection.Hides(typ, namespace, name)
		if hidden {
			f()
		}
		return hidden
	})
}

// deletion returns what tells the receiver of a deletion.
func (t *target) deletion(typ resource.Type, namespace, name string, after, at uint64) (tell func()) {
	return func() {
		t.pipeline.Apply(index.Change{
			Type: typ, ID: typ.ID(namespace, name), Deleted: true, Cause: index.Found, After: after,
			Record: resource.Record{Namespace: namespace, Name: name, ResourceVersion: at},
		})
	}
}

// runFinder waits until the types have been read, then looks for what was deleted while nobody watched, until
// ctx ends. No checkpoint of ours is written before that: it would claim deletions that nobody has sent, and
// the others would believe it.
func (t *target) runFinder(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-t.store.Synced():
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	var lost lostTime
	for {
		if t.read() {
			t.receive()
			t.finder.step(ctx, time.Now())
			if ctx.Err() == nil && !t.looked.Swap(true) {
				// This goes at once, so that the ConfigMap itself is delivered like any other object, whenever we end.
				t.publish(ctx)
				tick.Reset(time.Second)
			}
			t.finder.memory.settle()
			lost.sendAgain(ctx, t, began)
			found, unknown := t.finder.news()
			if found > 0 {
				t.log.Info("Objects were deleted while nobody watched; their documents are deleted now", "objects", found)
			}
			if len(unknown) > 0 {
				t.log.Info("Objects may have been deleted while nobody watched of which neither the API server, which keeps about five "+
					"minutes of history, nor an inventory can tell", "resources", unknown, "receiverCanBeAsked", t.orphanFinder.able())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// lostTime is whether the states of a time that was lost have been sent over. The zero value has not asked for it.
type lostTime struct {
	asked bool
	retry time.Time
}

// sendAgain has everything sent again, once in the fleet, when the inventory is of a time that was lost. The
// checkpoints went back with the cluster: they cover states that the receiver has no longer, and the inventory knows
// names alone.
func (l *lostTime) sendAgain(ctx context.Context, t *target, since time.Time) {
	if l.asked || !t.finder.memory.clusterWentBack() || time.Now().Before(l.retry) {
		return
	}
	err := t.resyncs.StartRestored(ctx, since)
	if l.asked = err == nil; l.asked || ctx.Err() != nil {
		return
	}
	l.retry = time.Now().Add(searchPause)
	if !errors.Is(err, operations.ErrNoMembers) {
		t.log.Error(err, "What was changed in the time that was lost could not be sent again; trying again")
	}
}
