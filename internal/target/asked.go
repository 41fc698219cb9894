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

// Endpoint is where the receiver is, as it may be shown.
func (t *Target) Endpoint() string { return t.spec.Endpoint.Redacted() }

// Format is the name of its contract.
func (t *Target) Format() string { return t.format.Name() }

// Pipeline is the pipeline that sends to the receiver.
func (t *Target) Pipeline() *pipeline.Pipeline { return t.pipeline }

// Resyncs are the resyncs of the receiver.
func (t *Target) Resyncs() *operations.Engine { return t.resyncs }

// Ledger has all members' checkpoints as last seen.
func (t *Target) Ledger() *checkpoint.Ledger { return t.ledger }

// Search tells how far the search for the missed deletions of a type has come, and what its watch has not seen.
func (t *Target) Search(typ resource.Type) (state deletions.State, gap deletions.Gap, known bool) {
	return t.finder.Inspect(typ)
}

// Said are the reports of the members about the receiver, each of its present stay in the ring, including ours.
func (t *Target) Said() map[string]progress.MemberStats { return t.progress.AllStats() }

// InStep tells whether the receiver has everything.
func (t *Target) InStep() bool {
	s := t.pipeline.Stats()
	return t.read() && s.First.Done >= s.First.Total && s.Dirty == 0
}

// TypeGone is called for a type that is no longer served, after the index has forgotten its objects.
func (t *Target) TypeGone(typ resource.Type) { t.finder.ConsultGone(typ, time.Now()) }

// Void makes all checkpoints worthless: the cluster has gone back in time.
func (t *Target) Void() { t.store.Void() }

// HasDeletions tells whether deletions wait that perhaps no other member knows of.
func (t *Target) HasDeletions() bool { return len(t.pipeline.Tombstones()) > 0 }

// Flush ends the parts that read the cluster, sends what is due until ctx ends, and reports what could not be
// sent.
func (t *Target) Flush(ctx context.Context) {
	t.endObserving()
	left := t.pipeline.Flush(ctx)
	t.log.Info("Stopped", "undeliveredUpserts", left.Upserts, "undeliveredDeletes", left.Deletes, "unsettled", left.Unsettled)
}
