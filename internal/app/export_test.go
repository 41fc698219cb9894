package app

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
)

// What is tested without a whole replica around it.
var (
	ClusterID      = clusterID
	Match          = match
	Within         = within
	ReadAs         = readAs
	CheckNamespace = checkNamespace
	ReleaseBy      = releaseBy
	Operation      = operation
)

// TypeStatus translates the status of a watch.
func TypeStatus(x *index.Index, w watch.Status) api.TypeStatus {
	a := &App{index: x, verify: &verification{Verifier: verify.New(verify.Options{Index: x})}}
	return a.typeStatus(w)
}

// Known tells whether an index has an object of that ID.
func Known(x *index.Index, id resource.ID) bool {
	_, known := (&App{index: x}).known(id)
	return known
}

// SumOfOperations makes one operation of those of several receivers.
func SumOfOperations(ops ...operations.Operation) api.Operation { return operationsOf(ops).sum() }

// TargetStatus translates what a pipeline tells of itself.
func TargetStatus(p *pipeline.Pipeline, started time.Time) api.Target {
	t := &target{name: "default", endpoint: "http://receiver", format: wire.DotAI(), pipeline: p}
	return (&App{life: life{started: started}}).targetStatus(t)
}

// Stage is a set of parts that stop together.
type Stage struct{ *stage }

// NewStage returns a stage whose parts' errors go to fail.
func NewStage(fail context.CancelCauseFunc) Stage { return Stage{newStage(fail)} }

// Start runs a part.
func (s Stage) Start(name string, run func(context.Context) error) { s.start(name, run) }

// Stop ends the parts and waits for them.
func (s Stage) Stop() { s.stop() }

// Search looks for deletions that nobody saw.
type Search struct{ *finder }

// refresher is what a search asks for the last checkpoints of members that are gone.
type refresher struct {
	past    checkpoint.Past
	refresh func() error
}

func (r refresher) Before() (all checkpoint.Past, ours map[string][]uint64) { return r.past, nil }
func (r refresher) Refresh(_ context.Context) error                         { return r.refresh() }

// NewSearch returns one that knows what checkpoints said before, and the processes, by member, that were here
// then. leases are the members as they are now.
func NewSearch(p pager, x *index.Index, ledger *checkpoint.Ledger, past checkpoint.Past, incumbents map[string]string,
	leases func() []ownership.MemberStatus, missing func(t resource.Type, namespace, name string, after, at uint64) bool,
) Search {
	past.Incarnations = make(map[string]string)
	for member, process := range incumbents {
		past.Incarnations[member] = process + ".1"
	}
	f := &finder{
		pager: p, index: x, ledger: ledger, leases: leases, missing: missing,
		store: refresher{past, func() error { return nil }},
		wants: func(resource.Type, string, string) bool { return true }, log: logr.Discard(), looks: map[resource.Type]*look{},
		saw:      func(resource.Record) bool { return true },
		served:   func() ([]resource.Type, bool) { return x.Types(), true },
		selected: func(t resource.Type) bool { return t.Resource != "unselected" },
		metrics:  newSearchMetrics(nil), slots: make(chan struct{}, searchers),
		unknown: map[resource.Type]bool{}, held: map[resource.Type]waiting{},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin()
	return Search{f}
}

// OnRefresh is called when the checkpoints are read once more.
func (s Search) OnRefresh(f func() error) { s.store = refresher{s.past, f} }

// Step looks once.
func (s Search) Step(ctx context.Context, now time.Time) { s.step(ctx, now) }

// Done tells whether checkpoints say all of a type's deletions, and else up to where: 1 is for nothing.
func (s Search) Done(t resource.Type) (done bool, bound uint64) {
	c, known := s.coverage()[t.String()]
	return known && c.Version > 0 && c.Deleted == 0, c.Deleted
}

// State says how far the search of a type is.
func (s Search) State(t resource.Type) string {
	if l := s.looks[t]; l != nil {
		return l.state.String()
	}
	return "pending"
}

// Gone returns the types of which deletions may have been missed.
func (s Search) Gone() []string {
	var names []string
	for _, t := range s.unresolved() {
		names = append(names, t.String())
	}
	for _, w := range sortedWaiting(s.waits()) {
		names = append(names, w.Resource)
	}
	return names
}

// Memory is what a replica remembers of its earlier life, and writes down for the next.
type Memory struct{ *memory }

// NewMemory returns that of a replica with these receivers.
func NewMemory(dir, cluster, ring string, x *index.Index, receivers ...*pipeline.Pipeline) Memory {
	all := &targets{}
	for i, p := range receivers {
		all.put(&target{name: strconv.Itoa(i), pipeline: p})
	}
	cfg := config.Config{Replica: config.Replica{StateDir: dir, RingName: ring}}
	return Memory{newMemory(cfg, cluster, x, all, logr.Discard(), nil)}
}

// WentBack looks at a memory at a time, and tells whether it is of a time that was lost, and the cluster with it.
func (m Memory) WentBack(now time.Time) (lost, cluster bool) {
	return m.ofALostTime(now), m.clusterWentBack()
}

// Remember lets a search ask a memory.
func (s Search) Remember(m Memory) { s.memory = m.memory }

// RecallGone tells a search that a type is served no longer.
func (s Search) RecallGone(t resource.Type, now time.Time) { s.consultGone(t, now) }

// Force deletes what is held back of a type, in one namespace or in all.
func (s Search) Force(ctx context.Context, t resource.Type, namespace string, sweep func(namespace, name string) bool) (int, error) {
	return s.release(ctx, t, scope{namespace: namespace}, func(_ context.Context, _ resource.Type, gone []place, _ bool) (told int, err error) {
		for _, g := range gone {
			if sweep(g.namespace, g.name) {
				told++
			}
		}
		return told, nil
	})
}

// Held is how many documents of a type a search holds back.
func (s Search) Held(t resource.Type) int { return s.waits()[t].Documents }

// OrphanFinder asks a receiver what it holds.
type OrphanFinder struct{ *orphanFinder }

// NewOrphanFinder returns one that watches pods well as long as watching says so. pending are deletions on their way.
func NewOrphanFinder(r orphans.Receiver, x *index.Index, watching func() bool, pending func(f func(namespace, name string)), deleted func(namespace, name string)) OrphanFinder {
	return OrphanFinder{&orphanFinder{
		receiver: r, index: x, wants: func(_ resource.Type, namespace, _ string) bool { return namespace != "unwanted" },
		hides:    func(_ resource.Type, _, name string) bool { return strings.HasPrefix(name, "hidden") },
		watching: func(resource.Type) bool { return watching() },
		pending:  func(_ resource.Type, f func(namespace, name string)) { pending(f) },
		sweep: func(_ context.Context, _ resource.Type, gone []place, _ bool) (int, error) {
			for _, g := range gone {
				deleted(g.namespace, g.name)
			}
			return len(gone), nil
		},
		metrics: newSearchMetrics(nil), log: logr.Discard(), asking: make(chan struct{}, 1),
		held: map[resource.Type]waiting{}, judged: map[resource.Type]bool{},
	}}
}

// Applied tells of a change.
func (c OrphanFinder) Applied(ch index.Change) { c.applied(ch) }

// Repair asks about a type, in one namespace or in all.
func (c OrphanFinder) Repair(ctx context.Context, t resource.Type, namespace string, force bool) (r operations.Repair, blind bool, err error) {
	a, err := c.repair(ctx, t, scope{namespace: namespace}, force)
	return a.Repair, a.blind, err
}

// Held is how many documents of a type are held back.
func (c OrphanFinder) Held(t resource.Type) int { return c.waits()[t].Documents }

// Heirs leaves what a receiver's pipeline has not delivered to its successor's, over an index that both listen to, one
// after the other. between runs after the first is stopped. It returns how many names were kept at the end of that.
func Heirs(x *index.Index, before, after *pipeline.Pipeline, between func()) (kept int) {
	endpoint := &url.URL{Scheme: "http", Host: "receiver"}
	old := &target{spec: targetSpec{endpoint: endpoint}, format: wire.DotAI(), pipeline: before, index: x, finder: &finder{index: x}, log: logr.Discard()}
	e := old.leave()
	e.take(old)
	between()
	e.mu.Lock()
	kept = len(e.deleted) + len(e.inDoubt) + len(e.seen) + len(e.fresh)
	e.mu.Unlock()
	next := &target{spec: targetSpec{endpoint: endpoint}, format: wire.DotAI(), member: &fate{}, tombstones: deletions.New(nil), pipeline: after, index: x, finder: &finder{index: x}, log: logr.Discard()}
	defer x.Listen(after)()
	next.resume(e)
	return kept
}

// Narrowed has a receiver with one view followed by one with another, which adopts what is there.
func Narrowed(x *index.Index, t resource.Type, all []resource.Record, before, after *resource.Selection, p *pipeline.Pipeline) {
	spec := targetSpec{endpoint: &url.URL{Scheme: "http", Host: "receiver"}}
	old := &target{spec: spec, format: wire.DotAI(), pipeline: p, index: x, projection: projection.New(before)}
	for _, r := range all {
		old.projection.Show(t, r)
	}
	next := &target{
		spec: spec, format: wire.DotAI(), member: &fate{}, tombstones: deletions.New(nil), pipeline: p, index: x, finder: &finder{index: x},
		projection: projection.New(after), retiredBacklog: old.leave(), log: logr.Discard(),
	}
	defer next.retiredBacklog.close()
	for _, r := range all {
		next.adoptRecord(t, r)
	}
}

// Farewell has a replica that leaves without a Lease write down what waits. own is what its last checkpoint
// said, nil for nothing.
func Farewell(ctx context.Context, p *pipeline.Pipeline, b *checkpoint.Ledger, s *checkpoint.Store, own *checkpoint.Checkpoint) (done bool) {
	t := &target{pipeline: p, store: s, tombstones: deletions.New(b), log: logr.Discard()}
	t.leaving.Store(true)
	if own != nil {
		t.last = &published{own: *own, all: *own}
	}
	return t.farewell(ctx)
}

// MemberStats are what a member says of a target, Waiting a repair that it holds back.
type (
	MemberStats = memberStats
	Waiting     = waiting
)

// ReceiverOf is how a receiver fares by the word of all members.
var ReceiverOf = receiverOf

// Shares are what the members say of a receiver.
var Shares = shares

// HealthHandler answers the probes.
var HealthHandler = healthHandler

// MetricsOpen tells whether a server of metrics takes connections.
func MetricsOpen(s metricsserver.Server) bool { return (&servers{metrics: s}).metricsOpen() }
