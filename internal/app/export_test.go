package app

import (
	"context"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// What is tested without a whole replica around it.
var (
	Match          = match
	CheckNamespace = checkNamespace
	Operation      = operation
)

// NewTypeKeeper returns what carries discovery's findings to the watches and the index, as a function.
func NewTypeKeeper(w *watch.Manager, x *index.Index, delivered func(resource.Type) bool) func(context.Context, discovery.Change) {
	k := &typeKeeper{watches: w, index: x, log: logr.Discard(), delivered: delivered}
	return k.apply
}

// TypeStatus translates the status of a watch.
func TypeStatus(x *index.Index, w watch.Status) api.TypeStatus { return (&App{index: x}).typeStatus(w) }

// Known tells whether an index has an object of that ID.
func Known(x *index.Index, id resource.ID) bool { return (&App{index: x}).known(id) }

// SumOfOperations makes one operation of those of several receivers.
func SumOfOperations(ops ...operations.Operation) api.Operation { return operationsOf(ops).sum() }

// TargetStatus translates what a pipeline tells of itself.
func TargetStatus(p *pipeline.Pipeline, started time.Time) api.Target {
	t := &target{name: "default", endpoint: "http://receiver", format: wire.DotAI(), pipeline: p}
	return (&App{started: started}).targetStatus(t)
}

// Stage is a set of parts that stop together.
type Stage struct{ *stage }

// NewStage returns a stage whose parts' errors go to fail.
func NewStage(fail context.CancelCauseFunc) Stage { return Stage{newStage(fail)} }

// Start runs a part.
func (s Stage) Start(name string, run func(context.Context) error) { s.start(name, run) }

// Stop ends the parts and waits for them.
func (s Stage) Stop() { s.stop() }
