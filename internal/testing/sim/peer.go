package sim

import (
	"context"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// PeerOptions are the environment of a peer. All fields are set except optional ones.
type PeerOptions struct {
	Name, Incarnation string
	// Maps holds checkpoints, Sender is the way to the receiver, Pager lists the API server and knows its history.
	Maps   corev1client.ConfigMapsGetter
	Sender Sender
	Pager  Pager
	// Leases are the Leases of all members, as the peer sees them.
	Leases func() []ownership.MemberStatus
	Settle time.Duration
	Limits
	// Schedule is the time between two full resyncs; 0 means that there are none.
	Schedule time.Duration
	// Read tells whether the types beside the peer's own have been read, and Served which types are served.
	Read   func() bool
	Served func() []resource.Type
	// Compare compares the list of a resync with the index.
	Compare func(t resource.Type, in func(namespace, name string) bool) resync.Comparison
	// Doubt has a type listed anew.
	Doubt func(t resource.Type)
	// Take makes the peer the only sender of parts.
	Take func(ctx context.Context, parts []handoff.Span) (handoff.Hold, error)
}

// Limits bound what a peer writes. 0 means the default.
type Limits struct {
	Exceptions int // how many objects its checkpoints name
	Batch      int // how many upserts a request has
}

// Sender takes the requests of a peer.
type Sender interface {
	Send(ctx context.Context, r delivery.Request) wire.Outcome
}

// Pager reads the API server.
type Pager interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
	Deletions(ctx context.Context, t resource.Type, after, until uint64, each func(watch.Deletion)) error
}

// Peer is the product's parts for one receiver in one process, over a membership that the world decides.
type Peer interface {
	// Objects is the index, which the world fills as watches would.
	Objects() *index.Index
	// Begin starts all parts; Synced is closed once the checkpoints have been read.
	Begin()
	Synced() <-chan struct{}
	// Fence says that the peer's Lease is lost, with all that it owns, and that it continues as another incarnation.
	Fence(incarnation string)
	// Stale says that the peer's Lease has not been renewed in time, or has been again: it may not send meanwhile, and
	// loses nothing. Aware comes some time later, as the call does that tells pipelines of a fence.
	Stale(stale bool)
	Aware()
	// Kill ends the peer without a last checkpoint. Leave ends it in order, within the life of ctx; Gone ends the
	// rest.
	Kill()
	Leave(ctx context.Context)
	Gone()
	// Lose gives up objects that match. Drain waits until no request holds one, and writes the last checkpoint under
	// the old view.
	Lose(lost pipeline.Match)
	Drain(lost pipeline.Match)
	// Publish publishes a claim. Gain takes up objects that match, some of which a crashed member owned.
	Publish(view []string, takes, yields []handoff.Span)
	Gain(ctx context.Context, mine, gained, crashed pipeline.Match)
	// Resyncs is the engine that shares out resyncs.
	Resyncs() *operations.Engine
	Stats() pipeline.Stats
}
