package target

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// newFinder makes the finder of missed deletions, and the deleter of its documents.
func (t *Target) newFinder(pager deletions.Pager, previous *previous.Inventory, types deletions.Types) *repair.Metrics {
	t.deleter = &repair.Deleter{
		Index: t.index, Pipeline: t.pipeline, Hides: t.projection.Hides, Gone: func(typ resource.Type) bool { return t.finder.IsGone(typ) },
		MaySend: t.member.MaySend, Hurry: t.tombstones.Hurry, Chunk: 2 * t.format.Defaults().MaxDeletes,
	}
	metrics := repair.NewMetrics(t.metrics)
	t.finder = deletions.New(deletions.Options{
		Pager: pager, Index: t.index, Ledger: t.ledger, Checkpoints: t.store, Previous: previous, Types: types,
		Members: func() []ownership.MemberStatus { return t.member.View().Members },
		Receiver: deletions.Receiver{
			Wants: t.wants, Delete: t.deleter.Delete,
			Sees: func(r resource.Record) bool { _, seen := t.projection.Of(r); return seen },
		},
		Metrics: metrics, Log: t.log,
	})
	return metrics
}

// runFinder searches for objects that were deleted while no member watched, until ctx ends.
func (t *Target) runFinder(ctx context.Context) error {
	return t.finder.Run(ctx, deletions.Around{
		Synced: t.store.Synced(), Read: t.read, Before: func() { t.progress.Receive() }, SendAgain: t.sendAgain, CanBeAsked: t.orphanFinder.Able(),
		First: func(ctx context.Context) {
			t.advance(StateLive)
			// Publish at once, so that the ConfigMap itself is delivered like any other object, whenever we end.
			t.progress.Publish(ctx)
		},
	})
}

// sendAgain is the SendAgain of [deletions.Around].
func (t *Target) sendAgain(ctx context.Context, since time.Time) bool {
	err := t.resyncs.StartRestored(ctx, since)
	if err != nil && ctx.Err() == nil && !errors.Is(err, operations.ErrNoMembers) {
		t.log.Error(err, "Objects that changed in the lost time could not be sent again; trying again")
	}
	return err == nil
}

// remembering is a receiver in the form of [previous.Options].
type remembering struct {
	*pipeline.Pipeline
	*deletions.Finder
}

// Remembering yields all receivers.
func (s *Set) Remembering() iter.Seq[previous.Receiver] {
	return func(yield func(previous.Receiver) bool) {
		for _, t := range s.All() {
			if !yield(remembering{t.pipeline, t.finder}) {
				return
			}
		}
	}
}

// waitIdle waits until the receiver answers, and has taken all resync traffic.
func (t *Target) waitIdle(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for t.pipeline.Stats().Breaker.Open {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the receiver: %w", ctx.Err())
		case <-tick.C:
		}
	}
	return t.pipeline.Room(ctx) // The error says what Room was doing.
}

// runListing asks the receiver about types of which no other source can tell, until ctx ends.
func (t *Target) runListing(ctx context.Context) error {
	return t.orphanFinder.Run(ctx, orphans.Asking{
		Search: t.finder, Self: t.member.Name(), Looked: t.looked,
		Peers: func() map[string]orphans.Word {
			words := make(map[string]orphans.Word)
			for member, s := range t.progress.PeerStats() {
				words[member] = orphans.Word{Unknown: s.Unknown, Judged: s.Judged}
			}
			return words
		},
	})
}

// newProgress makes the publisher that tells the other members our progress.
func (t *Target) newProgress() {
	t.progress = progress.New(progress.Options{
		Pipeline: t.pipeline, Member: t.member, View: t.view, Index: t.index, Ledger: t.ledger, Store: t.store, Tombstones: t.tombstones,
		Searches:   progress.Searches{Finder: t.finder, Orphans: t.orphanFinder, Deleter: t.deleter, Doubt: t.parts.Doubt},
		Receiver:   progress.Receiver{Fingerprint: t.spec.fingerprint(t.parts.ID), Wants: t.wants, Whole: t.projection == nil},
		Life:       progress.Life{Read: t.read, Backfilled: t.backfilled, Looked: t.looked, Leaving: t.leaving, Restoring: t.parts.Restoring},
		Exceptions: t.parts.Exceptions, Registerer: t.metrics, Log: t.log,
	})
}

// answers answer the pipeline's questions from the checkpoints.
func (t *Target) answers() progress.Answers {
	return progress.Answers{Ledger: t.ledger, Tombstones: t.tombstones}
}

// doubtful is the Doubtful of [pipeline.Options].
func (t *Target) doubtful(id resource.ID) (pipeline.Doubt, bool) {
	if t.spec.Before.Doubtful(id) {
		return pipeline.Doubt{ID: id, Overwritable: true}, true
	}
	return t.answers().Doubtful(id)
}

// view returns our membership's view of this target.
func (t *Target) view() progress.View {
	v := t.member.View()
	of := func(parts []ownership.Part) (mine []checkpoint.Part) {
		for _, p := range parts {
			if p.Target == handoff.Key(t.spec.Name) {
				typ := resource.Type{Group: p.Group, Version: p.Version, Resource: p.Resource}
				mine = append(mine, checkpoint.Part{Type: typ.String(), From: p.From, Until: p.Until})
			}
		}
		return mine
	}
	return progress.View{
		Members: v.View, Format: v.Format, Leases: v.Members, Claim: progress.Claim{Takes: of(v.Takes), Yields: of(v.Yields)},
	}
}

// scopeOf returns the objects of a type that a request covers.
func (t *Target) scopeOf(typ resource.Type, op operations.Request) repair.Scope {
	s := repair.Scope{Namespace: op.Namespace}
	if op.Scope == operations.Replica {
		s.Owned = func(namespace, name string) bool { return t.member.MaySend(typ, typ.ID(namespace, name)) }
	}
	return s
}
