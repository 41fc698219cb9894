package target

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/stage"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/backfill"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
)

// Target is one receiver with everything that serves it.
type Target struct {
	life
	sending
	recording
	searching

	spec    Spec
	parts   Parts
	format  wire.Format
	member  Seat
	index   *index.Index
	log     logr.Logger
	metrics *registered
	stages  stages
}

// sending holds the parts that bring the present objects to the receiver.
type sending struct {
	connection Connection
	pipeline   *pipeline.Pipeline
	bounds     sync.Mutex             // orders those who bound the pipeline's requests in flight
	closed     bool                   // the connection is closed; guarded by bounds
	projection *projection.Projection // nil: the receiver sees every object
	backfill   *backfill.Backfill     // nil: the target existed before any type was read
	sender     *resync.Sender
	filler     *resync.Filler
	resyncs    *operations.Engine
}

// recording holds the parts by which members inform each other.
type recording struct {
	ledger     *checkpoint.Ledger
	store      *checkpoint.Store
	tombstones *tombstones.Set
	progress   *progress.Publisher
}

// searching holds the parts that find missed deletions.
type searching struct {
	finder       *deletions.Finder
	deleter      *repair.Deleter
	orphanFinder *orphans.Finder
}

// stages end one after the other, with a flush in between.
type stages struct {
	remove                    func() // ends the listening
	observe, sending, sharing *stage.Stage
	begun                     time.Time
}

// New returns a receiver with everything that serves it. It starts nothing.
func New(spec Spec, p Parts) (*Target, error) {
	format, err := wire.FormatOf(spec.Format)
	if err != nil {
		return nil, fmt.Errorf("making the receiver's format: %w", err)
	}
	connection, err := p.Outlet.Connect(spec, format, p)
	if err != nil {
		return nil, err // The error says what Connect was doing.
	}
	t := &Target{
		spec: spec, parts: p, format: format, member: p.Seat(spec.Name), index: p.Index, log: p.Log.WithValues("target", spec.Name),
		metrics: newRegistered(p.Registerer, spec.Name),
	}
	t.record()
	t.send(connection)
	if err := t.search(); err != nil {
		return nil, err
	}
	if spec.Late {
		t.backfill = t.newBackfill()
	}
	return t, t.resync()
}

// record makes the parts that exchange checkpoints with the other members.
func (t *Target) record() {
	p, name := t.parts, t.spec.Name
	t.ledger = checkpoint.NewLedger(t.spec.fingerprint(p.ID), ring.DefaultFormat())
	t.store = checkpoint.NewStore(p.Maps, t.ledger, checkpoint.StoreOptions{
		Namespace: p.Namespace, Ring: p.Ring, Target: handoff.Key(name), Member: p.Member, DoubtFor: pipeline.DoubtFor(t.spec.Settle),
		Changed: func() { t.progress.Changed() }, Streams: p.Streams, Log: p.Log.WithName("checkpoint").WithValues("target", name),
	})
	t.tombstones = tombstones.New(t.ledger)
}

// send makes the parts that send changes.
func (t *Target) send(c Connection) {
	spec, p := t.spec, t.parts
	breaker := delivery.NewBreaker(delivery.BreakerOptions{MaxInFlight: spec.MaxInFlight, MaxBytes: spec.MaxBytes})
	t.connection, t.projection = c, projection.New(spec.Own)
	t.pipeline = pipeline.New(c, t.format, breaker, pipeline.Options{
		Target:   spec.Name,
		Debounce: spec.Debounce, MaxWait: spec.MaxWait, FlushInterval: spec.Flush,
		MaxUpserts: spec.MaxUpserts, MaxDeletes: t.format.Defaults().MaxDeletes, MaxBytes: spec.MaxBytes,
		Settle: spec.Settle, MaxBodyBytes: spec.DirtyMaxBytes,
		Owner: t.member, OwnedSince: t.member.OwnedSince, Taken: t.member.Away, Covers: t.answers().Covers, Delivered: t.answers().Delivered, Doubtful: t.doubtful,
		Acknowledged: t.answers().Acknowledged, Observe: c.Observe, Log: p.Log.WithName("delivery"), Registerer: p.Registerer,
	})
}

// search makes the parts that find missed deletions.
func (t *Target) search() error {
	p := t.parts
	searches := t.newFinder(p.Pager, p.Previous, deletions.Types{Served: p.Types.Sure, Selected: p.Wanted})
	opts := orphans.FinderOptions{
		Index: t.index, Namespaces: p.Namespaces, Wants: t.wants, Hides: t.projection.Hides, Watching: p.Types.Watching,
		Pending: t.pipeline.PendingDeletions, Sweep: t.deleter.Sweep, Metrics: searches, Log: t.log,
	}
	listing, err := p.Outlet.List(t.spec, p, orphans.Pace(t.waitIdle))
	switch {
	case err == nil:
		opts.Receiver, opts.Close = listing, listing.Close
	case !errors.Is(err, orphans.ErrNoList):
		return err // The error says what List was doing.
	}
	t.orphanFinder = orphans.NewFinder(opts)
	t.newProgress()
	return nil
}

// newBackfill makes the reader of the objects that existed before.
func (t *Target) newBackfill() *backfill.Backfill {
	return backfill.New(backfill.Options{
		Index: t.index, Pager: t.parts.Pager, Pipeline: t.pipeline, Log: t.log, Receiver: backfill.Receiver{
			Projection: t.projection, Wants: t.wants, Count: t.wanted, Before: t.spec.Before, Delete: t.deleter.Delete,
			Covers: func(typ resource.Type, id resource.ID, version uint64) bool {
				return t.ledger.Covers(typ.String(), id, version)
			},
		},
	})
}

// resync makes the parts for resyncs.
func (t *Target) resync() (err error) {
	p, name := t.parts, t.spec.Name
	sees := projection.NewThrough(t.pipeline, p.Index, t.projection)
	t.sender = resync.NewSender(p.Pager, sees, sees, resync.Options{
		Wants: t.wants, Away: t.member.Away, Target: name, Tracer: p.Tracer, Registerer: t.metrics, Compare: p.Compare, Deleted: t.pipeline.AwaitDeleted,
	})
	t.filler = &resync.Filler{Lister: p.Pager, Catalog: sees, Target: sees, Log: p.Log.WithName("fill")}
	t.resyncs, err = operations.New(p.Maps, t, catalog{target: t, served: p.Types.Served}, members{t.member}, operations.Options{
		Namespace: p.Namespace, Ring: p.Ring, Name: resyncsName(p.Ring, name), Member: p.Member,
		Interval: t.spec.Resync, Ready: t.read, Log: p.Log.WithName("resync").WithValues("target", name),
		Streams: p.Streams, Registerer: t.metrics,
	})
	if err != nil {
		return fmt.Errorf("making the resyncs of %s: %w", name, err)
	}
	return nil
}

// resyncsName returns the name of the ConfigMap that holds a target's resyncs.
func resyncsName(ringName, target string) string {
	if target == handoff.Environment {
		return ringName + "-resyncs"
	}
	return ringName + "-" + handoff.Key(target) + "-resyncs"
}

// Apply implements [index.Listener].
func (t *Target) Apply(c index.Change) {
	if !t.wants(c.Type, c.Record.Namespace, c.Record.Name) {
		return
	}
	// Of a receiver that is sent less than is watched, it cannot be said which state was lost.
	c.Lost = c.Lost && t.projection == nil && t.progress.MayHaveSpoken(c.Type)
	known := c.Known
	if !t.backfilled() {
		if c.Cause == index.Initial && !t.progress.Informed() {
			return // The receiver may have it, which is not known yet. The backfill offers it.
		}
		c.Known = false // The index knows the object, but the receiver may never have been sent it.
	}
	if c, changed := t.projection.See(c, known); changed {
		t.pipeline.Apply(c)
		t.orphanFinder.Applied(c)
	}
}

// wants tells whether the receiver selects objects like this one.
func (t *Target) wants(typ resource.Type, namespace, name string) bool {
	return t.spec.wants(typ, namespace, name)
}

// wanted counts the objects of a type that the receiver selects, of those that have been listed.
func (t *Target) wanted(typ resource.Type) (n int) {
	stats := t.index.Type(typ)
	if !stats.Listed || !t.spec.Types.Match(typ) {
		return 0
	}
	if t.spec.Namespaces.Everything() {
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

// fillBack sends the existing objects to a target that began late.
func (t *Target) fillBack(ctx context.Context) error {
	if t.backfill == nil {
		return nil
	}
	select {
	case <-ctx.Done():
	case <-t.store.Synced():
		t.backfill.Run(ctx)
	}
	return nil
}

// backfilled tells whether fillBack is complete, or not needed.
func (t *Target) backfilled() bool { return t.backfill == nil || t.backfill.Done() }

// Listen registers the target for every change from this call on.
func (t *Target) Listen() { t.stages.remove = t.index.Listen(t) }

// Start runs everything that serves the target until Stop. Errors that end a part for good go to fail.
func (t *Target) Start(fail context.CancelCauseFunc) {
	t.advance(StateBackfill)
	t.stages.begun = time.Now()
	t.stages.observe, t.stages.sending, t.stages.sharing = stage.New(fail), stage.New(fail), stage.New(fail)
	t.stages.sharing.Start("checkpoints", t.store.Run)
	t.stages.sharing.Start("shared checkpoints", t.progress.Run)
	t.stages.sending.Start("delivery", t.deliver)
	t.stages.observe.Start("first sync", t.fillBack)
	t.stages.observe.Start("missed deletions", t.runFinder)
	t.stages.observe.Start("documents without an object", t.runListing)
	t.stages.observe.Start("progress", t.reportProgress)
	t.stages.observe.Start("resyncs", t.resyncs.Run)
	t.stages.observe.Start("fill", t.filler.Run)
}

// Stop ends the target at once. A caller that wants a flush calls Flush before.
func (t *Target) Stop() {
	t.stages.remove()
	t.stages.observe.Stop()
	t.CutOff()
	t.stages.sharing.Stop()
	t.metrics.remove()
	t.advance(StateStopped)
}

// endObserving ends the parts that read the cluster. A target that ends before its first search is complete may
// still have sent some objects, and its last checkpoint must cover them.
func (t *Target) endObserving() {
	t.stages.observe.Stop()
	if t.progress.Informed() {
		t.advance(StateLive)
	}
}

// CutOff ends the requests that are still in flight: a receiver that does not answer must not keep us from giving
// up the Lease. Their outcome is unknown, and the last checkpoint names their objects as in doubt.
func (t *Target) CutOff() {
	t.stages.sending.Stop()
}

// reportProgress logs the progress of the first sync, until it is complete.
func (t *Target) reportProgress(ctx context.Context) error {
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
				"after", time.Since(t.stages.begun).Round(time.Millisecond).String())
			debug.FreeOSMemory()
			t.progress.Hurry()
			return nil
		case n%10 == 0:
			t.log.Info("First sync under way", "done", s.First.Done, "total", s.First.Total)
		}
	}
}

// read tells whether the target has seen every object that existed when it began.
func (t *Target) read() bool { return t.parts.Ready() && t.backfilled() }

// deliver sends until ctx ends.
func (t *Target) deliver(ctx context.Context) error {
	defer func() {
		t.bounds.Lock()
		defer t.bounds.Unlock()
		t.closed = true
		t.connection.Close()
	}()
	return t.pipeline.Run(ctx)
}
