package app

import (
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
)

// What is tested without a whole replica around it.
var (
	ReleaseBy = releaseBy
)

// MemberStats are what a member says of a target, Waiting a repair that it holds back.
type (
	MemberStats = progress.MemberStats
	Waiting     = repair.Held
)

// ReceiverOf is how a receiver fares by the word of all members.
var ReceiverOf = receiverOf

// Shares are what the members say of a receiver.
var Shares = shares

// MetricsOpen tells whether a server of metrics takes connections.
func MetricsOpen(s metricsserver.Server) bool { return (&servers{metrics: s}).metricsOpen() }
