package resync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/watch"
)

// Lister reads a type from the API server; [watch.Lister] is one.
type Lister interface {
	Pages(ctx context.Context, t resource.Type, opts watch.ListOptions, page func([]resource.Record) error) (uint64, error)
}

// Catalog knows what is current; [index.Index] is one.
type Catalog interface {
	IfCurrent(t resource.Type, r resource.Record, f func()) bool
	Type(t resource.Type) index.Stats
}

// Target takes what is sent again; [pipeline.Pipeline] is one.
type Target interface {
	Offer(t resource.Type, r resource.Record, ticket *pipeline.Ticket)
	Room(ctx context.Context) error
	FlushBulk()
	Hollow() map[resource.Type]int
	Fill(t resource.Type, r resource.Record)
}

// Trigger is why an operation was started.
type Trigger string

// The triggers.
const (
	Requested Trigger = "request"
	Scheduled Trigger = "schedule"
)

// Request says what to send again.
type Request struct {
	// Types are the types, all of which are served. What is not listed yet is reported as failed.
	Types []resource.Type
	// Namespace limits it to one namespace, or to cluster-scoped objects when it is [resource.ClusterNamespace]; empty
	// means all.
	Namespace string
	// Label tells requests for different types apart. It is the name that the client used; empty means everything.
	Label string
	// Scope and Force are what the client asked for beside that. They tell requests apart, too; what they mean is decided
	// by whoever made Types of them.
	Scope string
	Force bool
	// Trigger is why.
	Trigger Trigger
}

// full tells whether the request covers everything.
func (r Request) full() bool { return r.Label == "" && r.Namespace == "" }

// equal tells whether two requests ask for the same, whoever asks.
func (r Request) equal(o Request) bool {
	return r.Label == o.Label && r.Namespace == o.Namespace && r.Scope == o.Scope && r.Force == o.Force
}

// Status is how far an operation is.
type Status string

// The states of an operation. Failed means that it was given up, because the process stopped.
const (
	Running Status = "running"
	Done    Status = "done"
	Failed  Status = "failed"
)

// Operation is a copy of the state of one resync.
type Operation struct {
	ID         string
	Request    Request
	Status     Status
	StartedAt  time.Time
	FinishedAt time.Time // zero while it runs
	// TypesDone counts types listed, of len(Request.Types).
	TypesDone int
	// Offered counts objects handed to the targets, Open those of them that have not arrived, Estimate what the index
	// knows of the types.
	Offered, Open, Estimate int
	// Failures are the types that could not be read, by name.
	Failures map[string]string
}

// Options of an [Engine].
type Options struct {
	// Interval is the time between full resyncs; 0 for none.
	Interval time.Duration
	// All returns the types of a full resync.
	All func() []resource.Type
	// Log is told when an operation begins and ends.
	Log logr.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

// maxRecent is how many finished operations are remembered.
const maxRecent = 20

// ErrStopped says that the engine is not running.
var ErrStopped = errors.New("resync engine is not running")

// Engine runs operations. Create it with [New].
type Engine struct {
	lister  Lister
	catalog Catalog
	opts    Options
	metrics *metrics
	wake    chan struct{} // one slot

	mu      sync.Mutex      // guards everything below
	ctx     context.Context // that of Run; nil before Run and after its end
	running sync.WaitGroup
	targets map[string]Target
	ops     []*operation // newest last
	serial  int
	last    time.Time // when the last full operation ended, or the engine began
}

type operation struct {
	Operation
	ticket *pipeline.Ticket
	done   chan struct{}
}

// New returns an engine without targets.
func New(lister Lister, catalog Catalog, opts Options) *Engine {
	return &Engine{
		lister: lister, catalog: catalog, opts: opts, metrics: newMetrics(opts.Registerer),
		wake: make(chan struct{}, 1), targets: make(map[string]Target),
	}
}

// SetTarget adds a target, replaces it, or removes it when t is nil. Operations under way go on with those they began
// with.
func (e *Engine) SetTarget(name string, t Target) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t == nil {
		delete(e.targets, name)
		return
	}
	e.targets[name] = t
}

func (e *Engine) snapshot() []Target {
	e.mu.Lock()
	defer e.mu.Unlock()
	targets := make([]Target, 0, len(e.targets))
	for _, t := range e.targets {
		targets = append(targets, t)
	}
	return targets
}

// Run starts scheduled operations and fills hollow objects, until ctx ends; then it waits for all operations to give
// up. Call it once.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	e.ctx, e.last = ctx, time.Now()
	e.running.Go(func() { e.fillForever(ctx) })
	e.mu.Unlock()
	for ctx.Err() == nil {
		var due <-chan time.Time
		if next, ok := e.Next(); ok {
			due = time.After(time.Until(next))
		}
		select {
		case <-ctx.Done():
		case <-e.wake:
		case <-due:
			if _, err := e.Start(Request{Types: e.opts.All(), Trigger: Scheduled}); err != nil {
				e.opts.Log.Error(err, "Scheduled resync could not be started")
			}
		}
	}
	e.mu.Lock()
	e.ctx = nil // nothing is started any more, so that nothing is added to what is waited for
	e.mu.Unlock()
	e.running.Wait()
	return nil
}

// Next returns when the next full resync is due; ok is false when none is, or one is under way.
func (e *Engine) Next() (at time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.opts.Interval <= 0 || e.last.IsZero() {
		return time.Time{}, false
	}
	for _, op := range e.ops {
		if op.Status == Running && op.Request.full() {
			return time.Time{}, false
		}
	}
	return e.last.Add(e.opts.Interval), true
}

// Start begins an operation and returns its state. An equal one that is under way is returned instead.
func (e *Engine) Start(r Request) (Operation, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil || e.ctx.Err() != nil {
		return Operation{}, ErrStopped
	}
	for _, op := range e.ops {
		if op.Status == Running && op.Request.equal(r) {
			return op.copy(), nil
		}
	}
	e.serial++
	op := &operation{
		Operation: Operation{
			ID: strconv.FormatInt(time.Now().UnixMilli(), 36) + "-" + strconv.Itoa(e.serial), Request: r, Status: Running,
			StartedAt: time.Now(), Failures: map[string]string{},
		},
		ticket: pipeline.NewTicket(), done: make(chan struct{}),
	}
	for _, t := range r.Types {
		op.Estimate += e.catalog.Type(t).Objects
	}
	e.ops = append(e.ops, op)
	e.trim()
	ctx := e.ctx
	e.running.Go(func() { e.run(ctx, op) })
	return op.copy(), nil
}

// trim forgets the oldest finished operations. The caller holds mu.
func (e *Engine) trim() {
	for i := 0; i < len(e.ops) && len(e.ops) > maxRecent; {
		if e.ops[i].Status == Running {
			i++
			continue
		}
		e.ops = slices.Delete(e.ops, i, i+1)
	}
}

// copy returns the state. The caller holds Engine.mu.
func (op *operation) copy() Operation {
	c := op.Operation
	c.Offered, c.Open = op.ticket.Count()
	c.Failures = maps.Clone(c.Failures)
	return c
}

// Get returns one operation, running or recent.
func (e *Engine) Get(id string) (Operation, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, op := range e.ops {
		if op.ID == id {
			return op.copy(), true
		}
	}
	return Operation{}, false
}

// List returns the running and recent operations, newest first.
func (e *Engine) List() []Operation {
	e.mu.Lock()
	defer e.mu.Unlock()
	list := make([]Operation, 0, len(e.ops))
	for _, op := range slices.Backward(e.ops) {
		list = append(list, op.copy())
	}
	return list
}

// Wait blocks until an operation has ended, or ctx has. An operation that ends by itself, or with the engine, is no error.
func (e *Engine) Wait(ctx context.Context, id string) (Operation, error) {
	e.mu.Lock()
	i := slices.IndexFunc(e.ops, func(op *operation) bool { return op.ID == id })
	if i < 0 {
		e.mu.Unlock()
		return Operation{}, fmt.Errorf("no operation %q", id)
	}
	op := e.ops[i]
	e.mu.Unlock()
	select {
	case <-op.done:
	case <-ctx.Done():
		return Operation{}, fmt.Errorf("waiting for operation %s: %w", id, ctx.Err())
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return op.copy(), nil
}

func (e *Engine) poke() {
	select {
	case e.wake <- struct{}{}:
	default: // It will look anyway.
	}
}
