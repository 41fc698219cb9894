package plugin

import (
	"context"
	"net/http"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// Progress lets tests see each step of a resync.
type Progress = progress

// ErrUnknownResync is what [Follow] returns when no replica knows the operation.
var ErrUnknownResync = errUnknownResync

// Follow follows an operation at replicas that are reached by these transports, the first of which was asked for it.
func Follow(ctx context.Context, op api.Operation, show Progress, replicas ...http.RoundTripper) (api.Operation, error) {
	f := &fleet{timeout: replicaTimeout}
	for _, t := range replicas {
		f.replicas = append(f.replicas, &replica{name: "replica", base: "http://replica", client: &http.Client{Transport: t}})
	}
	return follow(ctx, f, f.replicas[0], op, show)
}

// NewProgress and NewBar make progress for a log and for a terminal.
var (
	NewProgress = newProgress
	NewBar      = newBar
)
