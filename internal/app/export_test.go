package app

import (
	"context"

	"github.com/go-logr/logr"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// What is tested without a whole replica around it.
var (
	ReadAs    = readAs
	ReleaseBy = releaseBy
)

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
