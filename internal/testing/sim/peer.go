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

// PeerOptions say where a peer lives. All but what is said to be optional is set.
type PeerOptions struct {
	Name, Incarnation string
	// Maps holds checkpoints, Sender is the way to the receiver, Pager lists the API server and knows its history.
	Maps   corev1client.ConfigMapsGetter
	Sender Sender
	Pager  Pager
	// Leases are what it sees of all members.
	Leases func() []ownership.MemberStatus
	Settle time.Duration
	// Exceptions are how many its checkpoints name; 0: as many as ever.
	Exceptions int
	// Read tells whether types other than the one that it is shown have been read, Served which are served.
	Read   func() bool
	Served func() []resource.Type
	// Compare holds the list of a resync against the index.
	Compare func(t resource.Type, in func(namespace, name string) bool) resync.Comparison
	// Doubt has a type listed anew.
	Doubt func(t resource.Type)
	// Take makes the peer the only sender of parts.
	Take func(ctx context.Context, parts []handoff.Span) (handoff.Hold, error)
}

// Sender takes what a peer sends.
type Sender interface {
	Send(ctx context.Context, r delivery.Request) wire.Outcome
}

// Pager reads the API server.
type Pager interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
	Deletions(ctx context.Context, t resource.Type, after, until uint64, each func(watch.Deletion)) error
}

// Peer is what the product makes of one receiver in one process, over a membership that the world decides.
type Peer interface {
	// Objects is the index, which the world fills as watches would.
	Objects() *index.Index
	// Begin runs everything; Synced is closed once the checkpoints have been read.
	Begin()
	Synced() <-chan struct{}
	// Fence takes everything from it: its Lease is lost, and it is another incarnation from now on.
	Fence(incarnation string)
	// Kill ends it without a word. Leave ends it in order, within the life of ctx; Gone ends what is left then.
	Kill()
	Leave(ctx context.Context)
	Gone()
	// Lose gives up what matches; Drain waits until no request holds it, and writes the last word under the old view.
	Lose(lost pipeline.Match)
	Drain(lost pipeline.Match)
	// Publish publishes a claim; Gain takes up what matches, of which some was a crashed member's.
	Publish(view []string, takes, yields []handoff.Span)
	Gain(ctx context.Context, mine, gained, crashed pipeline.Match)
	// Resync sends parts again.
	Resync(ctx context.Context, r operations.Request, parts []operations.Part) error
	Stats() pipeline.Stats
}
