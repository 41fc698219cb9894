// Package pipelinetest has pipelines without a receiver, for tests of code that feeds or inspects one.
package pipelinetest

import (
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// Idle returns a pipeline that does not run.
func Idle() *pipeline.Pipeline {
	return pipeline.New(nil, wire.DotAI(), delivery.NewBreaker(delivery.BreakerOptions{}), pipeline.Options{Target: "default"})
}

// PendingDeletions returns the names of the objects of a type whose deletion the receiver may not know of, sorted.
func PendingDeletions(p *pipeline.Pipeline, t resource.Type) (names []string) {
	p.PendingDeletions(t, func(_, name string) { names = append(names, name) })
	slices.Sort(names)
	return names
}
