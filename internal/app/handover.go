package app

import (
	"context"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

var _ handoff.Target = (*target)(nil)

// Name implements [handoff.Target].
func (t *target) Name() string { return t.name }

// Drain implements [handoff.Sender].
func (t *target) Drain(lost handoff.Match) <-chan struct{} { return t.pipeline.Drain(lost) }

// Cancel implements [handoff.Sender].
func (t *target) Cancel(lost handoff.Match) { t.pipeline.Cancel(lost) }

// TakeUp implements [handoff.Sender]. Checkpoints are as they were when it was given up.
func (t *target) TakeUp(gained, crashed handoff.Match) {
	t.pipeline.Gained(gained)
	t.progress.ForgetCovered()
	t.pipeline.Doubt(crashed)
}

// Admitted implements [handoff.Sender].
func (t *target) Admitted(gained handoff.Match) {
	t.pipeline.Gained(gained) // again, for what has come in between
	t.progress.Receive()
}

// Shared implements [handoff.Sender].
func (t *target) Shared(members int) {
	t.pipeline.SetMaxInFlight(max(t.spec.maxInFlight/members, 1))
	t.pipeline.MaySendChanged()
}

// Synced implements [handoff.Recorder].
func (t *target) Synced() <-chan struct{} { return t.store.Synced() }

// Refresh implements [handoff.Recorder].
func (t *target) Refresh(ctx context.Context) error {
	return t.store.Refresh(ctx) // It says what it was doing.
}

// Behind implements [handoff.Recorder].
func (t *target) Behind(among func(resource.Type) bool) string { return t.progress.Behind(among) }

// PublishLast implements [handoff.Recorder].
func (t *target) PublishLast(ctx context.Context) { t.progress.PublishLast(ctx) }

// Leave implements [handoff.Recorder].
func (t *target) Leave(ctx context.Context) {
	t.leaving.Store(true)
	t.progress.PublishLast(ctx)
}
