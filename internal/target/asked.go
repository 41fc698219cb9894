package target

import (
	"context"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// Endpoint returns the receiver's address in a form that may be shown.
func (t *Target) Endpoint() string { return t.spec.Endpoint.Redacted() }

// Format returns the name of the receiver's contract.
func (t *Target) Format() string { return t.format.Name() }

// Pipeline returns the pipeline that sends to the receiver.
func (t *Target) Pipeline() *pipeline.Pipeline { return t.pipeline }

// Resyncs returns the engine of the receiver's resyncs.
func (t *Target) Resyncs() *operations.Engine { return t.resyncs }

// Ledger returns all members' checkpoints as last seen.
func (t *Target) Ledger() *checkpoint.Ledger { return t.ledger }

// Search returns the state of the search for missed deletions of a type, and the gap of its watch.
func (t *Target) Search(typ resource.Type) (state deletions.State, gap deletions.Gap, known bool) {
	return t.finder.Inspect(typ)
}

// Said returns the reports of the members about the receiver, each of its present stay in the ring, including
// ours.
func (t *Target) Said() map[string]progress.MemberStats { return t.progress.AllStats() }

// InStep tells whether the receiver has all objects in their current state.
func (t *Target) InStep() bool {
	s := t.pipeline.Stats()
	return t.read() && s.First.Done >= s.First.Total && s.Dirty == 0
}

// TypeGone is called for a type that has ceased to be served, after the index has forgotten its objects.
func (t *Target) TypeGone(typ resource.Type) { t.finder.ConsultGone(typ, time.Now()) }

// Void makes all checkpoints worthless: the cluster has gone back in time.
func (t *Target) Void() { t.store.Void() }

// HasDeletions tells whether deletions wait of which perhaps no other member knows.
func (t *Target) HasDeletions() bool { return len(t.pipeline.Tombstones()) > 0 }

// Flush ends the parts that read the cluster, and sends all due items until ctx ends. It reports the items that
// could not be sent.
func (t *Target) Flush(ctx context.Context) {
	t.endObserving()
	left := t.pipeline.Flush(ctx)
	t.log.Info("Stopped", "undeliveredUpserts", left.Upserts, "undeliveredDeletes", left.Deletes, "unsettled", left.Unsettled)
}
