package target

import (
	"context"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

var _ handoff.Target = (*Target)(nil)

// Name implements [handoff.Target].
func (t *Target) Name() string { return t.spec.Name }

// Drain implements [handoff.Drainer].
func (t *Target) Drain(lost handoff.Match) <-chan struct{} { return t.pipeline.Drain(lost) }

// Cancel implements [handoff.Drainer].
func (t *Target) Cancel(lost handoff.Match) { t.pipeline.Cancel(lost) }

// TakeUp implements [handoff.Taker]. The checkpoints are those that the former owner left when it gave the
// objects up.
func (t *Target) TakeUp(gained, crashed handoff.Match) {
	t.divide() // before the first request for what is gained
	t.pipeline.Gained(gained)
	t.progress.ForgetCovered()
	t.pipeline.Doubt(crashed)
}

// Admitted implements [handoff.Taker].
func (t *Target) Admitted(gained handoff.Match) {
	t.pipeline.Gained(gained) // again, for changes in between
	t.progress.Receive()
}

// Shared implements [handoff.Taker].
func (t *Target) Shared() {
	t.divide()
	t.pipeline.MaySendChanged()
}

// divide bounds our requests in flight by the number of members, until the connection is closed. Of calls at the same
// time, the last one reads the view last.
func (t *Target) divide() {
	t.bounds.Lock()
	defer t.bounds.Unlock()
	if t.closed {
		return
	}
	t.pipeline.SetMaxInFlight(t.spec.MaxInFlight / max(len(t.member.View().View), 1))
}

// Synced implements [handoff.Catcher].
func (t *Target) Synced() <-chan struct{} { return t.store.Synced() }

// Refresh implements [handoff.Catcher].
func (t *Target) Refresh(ctx context.Context) error {
	return t.store.Refresh(ctx) // The error says what the store was doing.
}

// Behind implements [handoff.Catcher].
func (t *Target) Behind(among func(resource.Type) bool) string { return t.progress.Behind(among) }

// PublishLast implements [handoff.Drainer].
func (t *Target) PublishLast(ctx context.Context) { t.progress.PublishLast(ctx) }

// Leave implements [handoff.Drainer].
func (t *Target) Leave(ctx context.Context) {
	t.advance(StateDraining)
	t.progress.PublishLast(ctx)
}
