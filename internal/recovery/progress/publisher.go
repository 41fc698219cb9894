package progress

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// publishEvery is the pace of checkpoints. A member parks the changes of so long a time, and a failover sends them
// twice at most. Each checkpoint costs one write to etcd.
const publishEvery = 10 * time.Second

// Pipeline is the pipeline of the receiver; [pipeline.Pipeline] implements it.
type Pipeline interface {
	Unacknowledged(mine pipeline.Match) (own, all map[resource.Type]pipeline.Unacknowledged)
	Tombstones() []pipeline.Tombstone
	Lost() []index.Change
	Again(t resource.Type, r resource.Record)
	ForgetCovered(may func(t resource.Type, named bool) func(id resource.ID, s pipeline.State) bool, contested func(t resource.Type, id resource.ID, s pipeline.State) bool)
	Stats() pipeline.Stats
}

// Member is this process's membership of the ring.
type Member interface {
	Name() string
	Incarnation() string
	MaySend(t resource.Type, id resource.ID) bool
}

// View is the view that we have published, and the other members.
type View struct {
	// Members are those of our published view; none without a Lease.
	Members []string
	// Format is the ring's format.
	Format string
	Claim  Claim
	// Leases are the present Leases of all members.
	Leases []ownership.MemberStatus
}

// Claim is the part of our published claim that concerns the receiver.
type Claim struct{ Takes, Yields []checkpoint.Part }

// exceeds tells whether a claim has a part that an earlier one lacked.
func (c Claim) exceeds(before Claim) bool {
	missing := func(some, in []checkpoint.Part) bool {
		return slices.ContainsFunc(some, func(p checkpoint.Part) bool { return !slices.Contains(in, p) })
	}
	return missing(c.Takes, before.Takes) || missing(before.Yields, c.Yields)
}

// Finder looks for missed deletions; [deletions.Finder] implements it.
type Finder interface {
	Coverage(now time.Time) map[string]checkpoint.Seen
	Withdraw(name string, c checkpoint.Seen) checkpoint.Seen
	ServedNoLonger(t resource.Type) bool
	Unresolved() []resource.Type
	Held() map[resource.Type]repair.Held
}

// Orphans asks the receiver for its documents; [orphans.Finder] implements it.
type Orphans interface {
	Judged() []string
	Held() map[resource.Type]repair.Held
}

// Searches look for deletions that no member saw.
type Searches struct {
	Finder  Finder
	Orphans Orphans
	Deleter *repair.Deleter
	// Doubt has a type listed anew, because another member knows an object that we may never have heard of. It does
	// not block. It may be nil.
	Doubt func(t resource.Type)
}

// Receiver is the receiver that the checkpoints concern.
type Receiver struct {
	// Fingerprint names everything whose change makes checkpoints worthless.
	Fingerprint string
	// Wants tells whether the receiver selects objects like this one, Whole whether it sees all watched objects.
	Wants func(t resource.Type, namespace, name string) bool
	Whole bool
}

// Life tells how far this process has come with the receiver.
type Life struct {
	// Read tells that the target knows all objects that existed at its start, Backfilled that it knows those read
	// before.
	Read, Backfilled func() bool
	// Looked tells that deletions from before the start have been searched once, Leaving that the next checkpoint is
	// the last.
	Looked, Leaving func() bool
	// Restoring tells that the cluster has gone back in time, and has not been read since. It may be nil.
	Restoring func() bool
}

// Options are the settings of a [Publisher].
type Options struct {
	Pipeline   Pipeline
	Member     Member
	View       func() View
	Index      *index.Index
	Ledger     *checkpoint.Ledger
	Store      *checkpoint.Store
	Tombstones *tombstones.Set
	Searches   Searches
	Receiver   Receiver
	Life       Life
	// Exceptions is how many exceptions a checkpoint names at most; 0 means [checkpoint.MaxExcept].
	Exceptions int
	Registerer prometheus.Registerer
	Log        logr.Logger
}

// Publisher tells the other members how far we are with a receiver, and follows their checkpoints. Create it with
// [New].
type Publisher struct {
	opts    Options
	written prometheus.Gauge // when our checkpoint was last up to date
	covered wake.Slot        // the ledger has changed
	due     atomic.Bool      // a change has come that no checkpoint tells yet
	moved   atomic.Int64     // when our claim last changed, as Unix time

	mu        sync.Mutex // held while a checkpoint is computed and written; guards the fields below
	said      word
	last      *word  // the last checkpoint that was written
	unwritten bool   // the last checkpoint could not be written
	stay      string // the incarnation in which the last one was tried
	claim     Claim  // the claim of the last one
}

// New returns a publisher that has written nothing.
func New(opts Options) *Publisher {
	opts.Exceptions = cmp.Or(opts.Exceptions, checkpoint.MaxExcept)
	return &Publisher{opts: opts, written: newWritten(opts.Registerer), covered: wake.New()}
}

// newWritten returns the gauge of the time at which a checkpoint was last up to date, which is now.
func newWritten(reg prometheus.Registerer) prometheus.Gauge {
	g := promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "k8s_vectordb_sync_checkpoint_timestamp_seconds",
		Help: "When this replica last wrote how far the receiver is in step, or had nothing new to write, as Unix time; at first the time of the start.",
	})
	g.SetToCurrentTime()
	return g
}

// DescribeMetrics registers this package's metrics, for the reference of all metrics.
func DescribeMetrics(reg prometheus.Registerer) { newWritten(reg) }

// Changed says that the ledger has changed. It does not block.
func (p *Publisher) Changed() { p.covered.Wake() }

// Hurry makes the next checkpoint due at once.
func (p *Publisher) Hurry() { p.due.Store(true) }

// Informed tells whether the ledger has the checkpoints of the other members, and of earlier processes of our name.
func (p *Publisher) Informed() bool {
	select {
	case <-p.opts.Store.Synced():
		return true
	default:
		return false
	}
}

// Run follows the others' checkpoints, forgets parked changes that they cover, and writes ours, until ctx ends.
func (p *Publisher) Run(ctx context.Context) error {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	early := time.NewTicker(time.Second)
	defer early.Stop()
	var forget <-chan time.Time // at most once a second, however many members there are
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.covered:
			if forget == nil {
				forget = time.After(time.Second)
			}
			p.Receive()
		case <-forget:
			forget = nil
			p.forgetCovered()
		case <-tick.C:
			p.Publish(ctx)
			p.strike(ctx, p.Receive())
		case <-early.C:
			if p.opts.Ledger.Contests() && forget == nil {
				p.forgetCovered() // Our index may have reached a sum, or have been repaired.
			}
			// If we died before the next checkpoint, all objects of a first sync would be sent again.
			if p.silent() || p.due.Swap(false) || p.opts.Tombstones.Due() {
				p.Publish(ctx)
				tick.Reset(publishEvery)
			}
		}
	}
}

// mayCover tells which objects the new checkpoints may cover: those of a type, in the partitions of the checkpoints'
// members.
func mayCover(news checkpoint.News) func(typ resource.Type, named bool) func(resource.ID, pipeline.State) bool {
	return func(typ resource.Type, named bool) func(resource.ID, pipeline.State) bool {
		name := typ.String()
		if !news.Of(name, named) {
			return nil
		}
		return func(id resource.ID, s pipeline.State) bool { return named || news.Touches(name, id, s.Version) }
	}
}

// silent tells whether we are in the ring and have not tried to write a checkpoint in this incarnation, or since we
// have taken or regained a part. The others' checkpoints soon no longer cover our new share. If we died before ours
// does, that share would be sent again.
func (p *Publisher) silent() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	view := p.opts.View()
	return p.opts.Life.Looked() && len(view.Members) > 0 && (p.stay != p.opts.Member.Incarnation() || view.Claim.exceeds(p.claim))
}

// Publish writes how far the partitions that our published view gives us are in step, if that has changed.
func (p *Publisher) Publish(ctx context.Context) {
	if p.write(ctx, false) {
		p.written.SetToCurrentTime()
	}
}

// PublishLast publishes until it has succeeded or ctx ends. A late last checkpoint is better than a successor that
// sends again what the receiver has.
func (p *Publisher) PublishLast(ctx context.Context) {
	for !p.write(ctx, true) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Behind returns a type, among some, of which we have seen less than another member had seen at its last checkpoint;
// empty when there is none.
func (p *Publisher) Behind(among func(resource.Type) bool) string {
	events := p.opts.Ledger.Events(p.opts.Member.Name())
	for _, typ := range p.opts.Index.Types() {
		name := typ.String()
		if stats := p.opts.Index.Type(typ); stats.Listed && stats.Version < events.Of(name) && among(typ) {
			return name
		}
	}
	return ""
}
