package app

import (
	"context"
	"fmt"
	"net/url"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/stage"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/backfill"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

// targetSpec says what a receiver is and how it wants to be treated.
type targetSpec struct {
	name       string
	endpoint   *url.URL
	format     string
	token      delivery.TokenSource
	ca         []byte
	files      outbound.Files
	selection  resource.Selection  // what is kept of all
	own        *resource.Selection // what is sent of that; nil: everything
	narrow     bool                // types and namespaces are narrower than what is watched
	types      resource.Filter
	namespaces watch.NamespaceFilter

	debounce, maxWait, flush, settle, timeout, resync time.Duration
	maxUpserts, maxBytes, maxInFlight                 int
	dirtyMaxBytes                                     int64
}

// environmentSpec is the receiver that the environment names.
func environmentSpec(cfg config.Config) targetSpec {
	s := targetSpec{
		name: handoff.Environment, endpoint: cfg.Endpoint, format: cfg.EndpointFormat, selection: cfg.Selection,
		debounce: cfg.DebounceWindow, maxWait: cfg.DebounceMaxWait, flush: cfg.BatchFlushInterval, settle: cfg.SettleTime,
		timeout: cfg.RequestTimeout, resync: cfg.ResyncInterval, maxUpserts: cfg.BatchMaxSize, maxBytes: cfg.BatchMaxBytes,
		files: cfg.Files, maxInFlight: cfg.MaxInFlight, dirtyMaxBytes: cfg.DirtyMaxBytes,
	}
	if cfg.AuthTokenFile != "" {
		s.token = delivery.TokenFile(cfg.AuthTokenFile)
	}
	return s
}

// fingerprint names everything whose change makes checkpoints worthless.
func (s targetSpec) fingerprint(cluster string) string {
	f := fmt.Sprintf("cluster=%s endpoint=%s format=%s keeps=%s", cluster, s.endpoint, s.format, s.selection)
	if s.narrow {
		f += fmt.Sprintf(" types=%s namespaces=%v", s.types, s.namespaces)
	}
	if s.own != nil {
		f += fmt.Sprintf(" of that=%s", s.own)
	}
	return f
}

// ringMember is what a target needs to know of our membership; [membership.Membership] tells it.
type ringMember interface {
	Name() string
	Incarnation() string
	View() membership.View
	MaySend(t resource.Type, id resource.ID) bool
	Taken(t resource.Type) bool
	Await(ctx context.Context, ok func() bool) error
}

// taker makes us the only sender of parts.
type taker interface {
	Take(ctx context.Context, parts []handoff.Span) (handoff.Hold, error)
}

// target is one receiver with everything that serves it.
type target struct {
	spec           targetSpec
	name           string
	endpoint       string // as it may be shown
	format         wire.Format
	log            logr.Logger
	client         *delivery.Client
	pipeline       *pipeline.Pipeline
	member         ringMember
	taker          taker
	index          *index.Index
	lister         deletions.Pager
	ledger         *checkpoint.Ledger
	store          *checkpoint.Store
	finder         *deletions.Finder
	deleter        *repair.Deleter
	orphanFinder   *orphans.Finder
	tombstones     *tombstones.Set
	progress       *progress.Publisher
	leaving        atomic.Bool            // the next checkpoint is the last one
	projection     *projection.Projection // nil: it sees what everybody sees
	declared       *controller.Target     // nil: of the environment
	retiredBacklog *retired.Backlog       // of its predecessor; nil: there was none
	sender         *resync.Sender
	filler         *resync.Filler
	resyncs        *operations.Engine
	metrics        *registered
	ready          func() bool // everything has been read

	looked atomic.Bool // what was deleted before the start has been looked for once
	remove func()      // ends the listening

	// The stages end one after the other, with a flush in between.
	observe, sending, sharing *stage.Stage
	backfill                  *backfill.Backfill // nil: it was there when nothing had been read yet
	begun                     time.Time
	adopted                   atomic.Bool
}

// parts are what all targets share.
type parts struct {
	cfg     config.Config
	streams *reflector.Metrics
	// restoring tells that the cluster has gone back in time and has not been read since.
	restoring func() bool
	version   string
	tracer    *tracing.Tracer
	cluster   string
	log       logr.Logger
	reg       prometheus.Registerer
	member    *membership.Membership
	index     *index.Index
	lister    *watch.Lister
	previous  *previous.Inventory
	maps      corev1client.ConfigMapsGetter
	ready     func() bool
	watching  func(t resource.Type) bool
	sure      func() (types []resource.Type, ok bool)
	served    func() []resource.Type
	compare   func(t resource.Type, in func(namespace, name string) bool) resync.Comparison
}

// newTarget makes a receiver with all that serves it. Nothing is started yet.
func newTarget(spec targetSpec, p parts) (*target, error) {
	format, err := wire.FormatOf(spec.format)
	if err != nil {
		return nil, fmt.Errorf("making the receiver's format: %w", err)
	}
	log := p.log.WithName("delivery")
	client, err := delivery.New(spec.endpoint.String(), format, delivery.Options{
		Target: spec.name, Version: p.version, Member: p.cfg.PodName, Token: spec.token, CA: spec.ca, Files: spec.files,
		Timeout: spec.timeout, BeforeWrite: p.member.BeforeWrite, Tracer: p.tracer, Registerer: p.reg, Log: log,
	})
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", spec.endpoint.Redacted(), err)
	}
	seat := handoff.NewSeat(p.member, spec.name)
	t := &target{
		spec: spec, name: spec.name, endpoint: spec.endpoint.Redacted(), format: format, client: client, log: p.log.WithValues("target", spec.name),
		member: seat, taker: seat, index: p.index, ready: p.ready,
		metrics: newRegistered(p.reg, spec.name),
	}
	fingerprint := spec.fingerprint(p.cluster)
	t.ledger = checkpoint.NewLedger(fingerprint, ring.DefaultFormat())
	t.store = checkpoint.NewStore(p.maps, t.ledger, checkpoint.StoreOptions{
		Namespace: p.cfg.PodNamespace, Ring: p.cfg.RingName, Target: handoff.Key(spec.name), Member: p.cfg.PodName,
		DoubtFor: pipeline.DoubtFor(spec.settle), Changed: func() { t.progress.Changed() }, Streams: p.streams, Log: p.log.WithName("checkpoint").WithValues("target", spec.name),
	})
	t.tombstones = tombstones.New(t.ledger)
	breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: spec.maxInFlight, MaxBytes: spec.maxBytes})
	t.pipeline = pipeline.New(fenced{client, p.member}, format, breaker, pipeline.Options{
		Target:   spec.name,
		Debounce: spec.debounce, MaxWait: spec.maxWait, FlushInterval: spec.flush,
		MaxUpserts: spec.maxUpserts, MaxDeletes: format.Defaults().MaxDeletes, MaxBytes: spec.maxBytes,
		Settle: spec.settle, MaxBodyBytes: spec.dirtyMaxBytes,
		Owner: seat, OwnedSince: seat.OwnedSince, Taken: seat.Away, Covers: t.answers().Covers, Delivered: t.answers().Delivered, Doubtful: t.doubtful,
		Acknowledged: t.answers().Acknowledged, Observe: client.Observe, Log: log, Registerer: p.reg,
	})
	t.lister, t.projection = p.lister, projection.New(spec.own)
	searches := t.newFinder(p.lister, p.previous, deletions.Types{Served: p.sure, Selected: p.cfg.Types.Match})
	if t.orphanFinder, err = newOrphanFinder(t, p, searches); err != nil {
		return nil, err
	}
	t.newProgress(fingerprint, checkpoint.MaxExcept, p.restoring)
	sees := projection.NewThrough(t.pipeline, p.index, t.projection)
	t.sender = resync.NewSender(p.lister, sees, sees, resync.Options{
		Wants: t.wants, Target: spec.name, Tracer: p.tracer, Registerer: t.metrics, Compare: p.compare, Deleted: t.pipeline.AwaitDeleted,
	})
	t.filler = &resync.Filler{Lister: p.lister, Catalog: sees, Target: sees, Log: p.log.WithName("fill")}
	t.resyncs, err = operations.New(p.maps, t, catalog{target: t, served: p.served}, members{p.member}, operations.Options{
		Namespace: p.cfg.PodNamespace, Ring: p.cfg.RingName, Name: resyncsName(p.cfg.RingName, spec.name), Member: p.cfg.PodName,
		Interval: spec.resync, Ready: t.read, Log: p.log.WithName("resync").WithValues("target", spec.name),
		Streams: p.streams, Registerer: t.metrics,
	})
	if err != nil {
		return nil, fmt.Errorf("making the resyncs of %s: %w", spec.name, err)
	}
	return t, nil
}

// resyncsName is the name of the ConfigMap that holds a target's resyncs.
func resyncsName(ringName, target string) string {
	if target == handoff.Environment {
		return ringName + "-resyncs"
	}
	return ringName + "-" + handoff.Key(target) + "-resyncs"
}

// Apply implements [index.Listener].
func (t *target) Apply(c index.Change) {
	if !t.wants(c.Type, c.Record.Namespace, c.Record.Name) {
		return
	}
	known := c.Known
	if t.backfill != nil && !t.adopted.Load() {
		if c.Cause == index.Initial && !t.progress.Informed() {
			return // Whether the receiver has it cannot be told yet. Its type counts as read by then, and is adopted.
		}
		c.Known = false // To the index it is, but the receiver may never have been sent it.
	}
	if c, changed := t.projection.See(c, known); changed {
		t.pipeline.Apply(c)
		t.orphanFinder.Applied(c)
	}
}

// wants tells whether the receiver is to have objects like this one.
func (t *target) wants(typ resource.Type, namespace, name string) bool {
	return !t.spec.narrow || t.spec.types.Match(typ) && t.spec.namespaces.Match(typ, namespace, name)
}

// wanted counts the objects of a type that the receiver is to have, of those that have been listed.
func (t *target) wanted(typ resource.Type) (n int) {
	stats := t.index.Type(typ)
	if !stats.Listed || !t.spec.types.Match(typ) {
		return 0
	}
	if t.spec.namespaces.Everything() {
		return stats.Objects - t.projection.Hidden(typ)
	}
	t.index.All(typ, func(namespace, name string, _ uint64) bool {
		if t.wants(typ, namespace, name) {
			n++
		}
		return true
	})
	return max(n-t.projection.Hidden(typ), 0)
}

// receiver names the one receiver whose documents a target answers for.
func (t *target) receiver() string { return t.spec.endpoint.String() + " " + t.format.Name() }

// late says that the target begins when types have been read already, in succession of another one.
func (t *target) late(before *retired.Backlog) {
	t.retiredBacklog = before
	t.backfill = backfill.New(backfill.Options{
		Index: t.index, Pager: t.lister, Pipeline: t.pipeline, Log: t.log, Receiver: backfill.Receiver{
			Projection: t.projection, Wants: t.wants, Count: t.wanted, Before: before, Delete: t.deleter.Delete,
			Covers: func(typ resource.Type, id resource.ID, version uint64) bool {
				return t.ledger.Covers(typ.String(), id, version)
			},
		},
	})
}

// adopt brings a target that began late what there was before.
func (t *target) adopt(ctx context.Context) error {
	if t.backfill == nil {
		t.adopted.Store(true)
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-t.store.Synced():
	}
	t.adopted.Store(t.backfill.Run(ctx))
	return nil
}

// listen lets the target hear of every change from now on.
func (t *target) listen() { t.remove = t.index.Listen(t) }

// start runs all that serves the target until stop. What fails for good goes to fail.
func (t *target) start(fail context.CancelCauseFunc) {
	t.begun = time.Now()
	t.observe, t.sending, t.sharing = stage.New(fail), stage.New(fail), stage.New(fail)
	t.sharing.Start("checkpoints", t.store.Run)
	t.sharing.Start("shared checkpoints", t.progress.Run)
	t.sending.Start("delivery", t.deliver)
	t.observe.Start("first sync", t.adopt)
	t.observe.Start("missed deletions", t.runFinder)
	t.observe.Start("documents without an object", t.runListing)
	t.observe.Start("progress", t.reportProgress)
	t.observe.Start("resyncs", t.resyncs.Run)
	t.observe.Start("fill", t.filler.Run)
}

// stop ends it at once: who wants a flush has it done before.
func (t *target) stop() {
	t.remove()
	t.observe.Stop()
	t.endSending()
	t.sharing.Stop()
	t.metrics.remove()
}

// endObserving ends what looks at the cluster. A target that ends before it has looked back for the first
// time may have sent something all the same: its last checkpoint is to tell of that.
func (t *target) endObserving() {
	t.observe.Stop()
	if !t.looked.Load() && t.progress.Informed() {
		t.looked.Store(true)
	}
}

// endSending ends the pipeline with its requests.
func (t *target) endSending() {
	t.sending.Stop()
}

// reportProgress says how far the first sync is, until it is complete.
func (t *target) reportProgress(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s := t.pipeline.Stats()
		switch {
		case t.read() && s.First.Done == s.First.Total:
			t.log.Info("First sync is complete", "objects", s.First.Total, "quarantined", s.Quarantined,
				"after", time.Since(t.begun).Round(time.Millisecond).String())
			debug.FreeOSMemory()
			t.progress.Hurry()
			return nil
		case n%10 == 0:
			t.log.Info("First sync under way", "done", s.First.Done, "total", s.First.Total)
		}
	}
}

// read tells whether the target has been told of everything that there was when it began.
func (t *target) read() bool { return t.ready() && t.adopted.Load() }

// deliver sends until ctx ends.
func (t *target) deliver(ctx context.Context) error {
	defer t.client.Close()
	return t.pipeline.Run(ctx)
}

// fenced sends under the fence: a request ends when the Lease was not renewed in time.
type fenced struct {
	sender pipeline.Sender
	member *membership.Membership
}

func (f fenced) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	ctx, cancel := f.member.WithFence(ctx)
	defer cancel()
	return f.sender.Send(ctx, r)
}
