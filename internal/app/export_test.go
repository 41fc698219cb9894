package app

import (
	"context"
	"strings"

	"github.com/go-logr/logr"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// What is tested without a whole replica around it.
var (
	ReadAs    = readAs
	ReleaseBy = releaseBy
)

// OrphanFinder asks a receiver what it holds.
type OrphanFinder struct{ *orphanFinder }

// NewOrphanFinder returns one that watches pods well as long as watching says so. pending are deletions on their way.
func NewOrphanFinder(r orphans.Receiver, x *index.Index, watching func() bool, pending func(f func(namespace, name string)), deleted func(namespace, name string)) OrphanFinder {
	return OrphanFinder{&orphanFinder{
		receiver: r, index: x, wants: func(_ resource.Type, namespace, _ string) bool { return namespace != "unwanted" },
		hides:    func(_ resource.Type, _, name string) bool { return strings.HasPrefix(name, "hidden") },
		watching: func(resource.Type) bool { return watching() },
		pending:  func(_ resource.Type, f func(namespace, name string)) { pending(f) },
		sweep: func(_ context.Context, _ resource.Type, gone []repair.Object, _ bool) (int, error) {
			for _, g := range gone {
				deleted(g.Namespace, g.Name)
			}
			return len(gone), nil
		},
		metrics: repair.NewMetrics(nil), log: logr.Discard(), asking: make(chan struct{}, 1),
		held: map[resource.Type]repair.Held{}, judged: map[resource.Type]bool{},
	}}
}

// Applied tells of a change.
func (c OrphanFinder) Applied(ch index.Change) { c.applied(ch) }

// Repair asks about a type, in one namespace or in all.
func (c OrphanFinder) Repair(ctx context.Context, t resource.Type, namespace string, force bool) (r operations.Repair, blind bool, err error) {
	a, err := c.repair(ctx, t, repair.Scope{Namespace: namespace}, force)
	return a.Repair, a.blind, err
}

// Held is how many documents of a type are held back.
func (c OrphanFinder) Held(t resource.Type) int { return c.waits()[t].Documents }

// Farewell has a replica that leaves without a Lease write down what waits. own is what its last checkpoint
// said, nil for nothing.
func Farewell(ctx context.Context, p *pipeline.Pipeline, b *checkpoint.Ledger, s *checkpoint.Store, own *checkpoint.Checkpoint) (done bool) {
	t := &target{pipeline: p, store: s, tombstones: tombstones.New(b), log: logr.Discard()}
	t.leaving.Store(true)
	if own != nil {
		t.publishing.last = &published{own: *own, all: *own}
	}
	return t.farewell(ctx)
}

// MemberStats are what a member says of a target, Waiting a repair that it holds back.
type (
	MemberStats = memberStats
	Waiting     = repair.Held
)

// ReceiverOf is how a receiver fares by the word of all members.
var ReceiverOf = receiverOf

// Shares are what the members say of a receiver.
var Shares = shares

// MetricsOpen tells whether a server of metrics takes connections.
func MetricsOpen(s metricsserver.Server) bool { return (&servers{metrics: s}).metricsOpen() }
