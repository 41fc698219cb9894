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
)

// publishEvery is the pace of checkpoints: what a member parks, and what a failover sends twice at most, are the
// changes of this long. Each costs one write to etcd.
const publishEvery = 10 * time.Second

// Pipeline is the receiver's; [pipeline.Pipeline] is one.
type Pipeline interface {
	Unacknowledged(mine pipeline.Match) (own, all map[resource.Type]pipeline.Unacknowledged)
	Tombstones() []pipeline.Tombstone
	Lost() []index.Change
	Again(t resource.Type, r resource.Record)
	ForgetCovered(may func(t resource.Type, named bool) func(id resource.ID, s pipeline.State) bool, contested func(t resource.Type, id resource.ID, s pipeline.State) bool)
	Stats() pipeline.Stats
}

// Member is our membership of the ring.
type Member interface {
	Name() string
	Incarnation() string
	MaySend(t resource.Type, id resource.ID) bool
}

// View is what we have published, and who else is there.
type View struct {
	// Members are those of our published view; none without a Lease.
	Members []string
	// Format is the ring's.
	Format string
	Claim  Claim
	// Leases are all members' as they are now.
	Leases []ownership.MemberStatus
}

// Claim is what our published claim says of the parts of the receiver.
type Claim struct{ Takes, Yields []checkpoint.Part }

// exceeds tells whether a claim has a part that an earlier one had not.
func (c Claim) exceeds(before Claim) bool {
	missing := func(some, in []checkpoint.Part) bool {
		return slices.ContainsFunc(some, func(p checkpoint.Part) bool { return !slices.Contains(in, p) })
	}
	return missing(c.Takes, before.Takes) || missing(before.Yields, c.Yields)
}

// Finder is what looks for missed deletions; [deletions.Finder] is one.
type Finder interface {
	Coverage(now time.Time) map[string]checkpoint.Seen
	Withdraw(name string, c checkpoint.Seen) checkpoint.Seen
	ServedNoLonger(t resource.Type) bool
	Unresolved() []resource.Type
	Held() map[resource.Type]repair.Held
}

// Orphans is what asks the receiver what it holds; [orphans.Finder] is one.
type Orphans interface {
	Judged() []string
	Held() map[resource.Type]repair.Held
}

// Searches are what looks for deletions that nobody saw.
type Searches struct {
	Finder  Finder
	Orphans Orphans
	Deleter *repair.Deleter
	// Doubt has a type listed anew: another member knows of an object that we may never have heard of. It does not
	// block. Nil does nothing.
	Doubt func(t resource.Type)
}

// Receiver is whom the checkpoints are about.
type Receiver struct {
	// Fingerprint names everything whose change makes checkpoints worthless.
	Fingerprint string
	// Wants tells whether it is to have objects like this one, Whole whether it sees all that is watched.
	Wants func(t resource.Type, namespace, name string) bool
	Whole bool
}

// Life tells how far the receiver's part of this process has come.
type Life struct {
	// Read: it has been told of everything that there was when it began; Backfilled: as far as that was read before.
	Read, Backfilled func() bool
	// Looked: what was deleted before the start has been looked for once. Leaving: the next checkpoint is the last one.
	Looked, Leaving func() bool
	// Restoring: the cluster has gone back in time, and has not been read since. Nil is never.
	Restoring func() bool
}

// Options are what a [Publisher] is made of.
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
	// Exceptions is how many a checkpoint names at most; 0: [checkpoint.MaxExcept].
	Exceptions int
	Registerer prometheus.Registerer
	Log        logr.Logger
}

// Publisher tells the other members how far we are with a receiver, and follows what they tell. Create it with [New].
type Publisher struct {
	opts    Options
	written prometheus.Gauge // when our checkpoint was last as it should be
	covered chan struct{}    // one slot: the ledger has changed
	due     atomic.Bool      // something has come that no checkpoint tells of yet
	moved   atomic.Int64     // when our claim was last found to be another one, as Unix time

	mu        sync.Mutex // held while a checkpoint is computed and written; guards what follows
	said      word
	last      *word  // what was written last
	unwritten bool   // the last checkpoint could not be written
	stay      string // in which the last one was tried
	claim     Claim  // with which
}

// New returns a publisher that has told nothing.
func New(opts Options) *Publisher {
	opts.Exceptions = cmp.Or(opts.Exceptions, checkpoint.MaxExcept)
	return &Publisher{opts: opts, written: newWritten(opts.Registerer), covered: make(chan struct{}, 1)}
}

// newWritten returns the gauge of when a checkpoint was last as it should be, which is now.
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
func (p *Publisher) Changed() {
	select {
	case p.covered <- struct{}{}:
	default: // It will look anyway.
	}
}

// Hurry makes the next checkpoint due at once.
func (p *Publisher) Hurry() { p.due.Store(true) }

// Informed tells whether what others say of the receiver, or earlier lives have said, is known.
func (p *Publisher) Informed() bool {
	select {
	case <-p.opts.Store.Synced():
		return true
	default:
		return false
	}
}

// Run keeps what is parked in step with the others' checkpoints, and the others informed of ours, until ctx ends.
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
				p.forgetCovered() // Our index may have come up to a sum, or have been repaired.
			}
			// All that a first sync has sent would be sent again, if we died before the next checkpoint tells of it.
			if p.silent() || p.due.Swap(false) || p.opts.Tombstones.Due() {
				p.Publish(ctx)
				tick.Reset(publishEvery)
			}
		}
	}
}

// mayCover tells what checkpoints that have come may cover: a type, and of it the objects of the partitions of who
// wrote them.
func mayCover(news checkpoint.News) func(typ resource.Type, named bool) func(resource.ID, pipeline.State) bool {
	return func(typ resource.Type, named bool) func(resource.ID, pipeline.State) bool {
		name := typ.String()
		if !news.Of(name, named) {
			return nil
		}
		return func(id resource.ID, s pipeline.State) bool { return named || news.Touches(name, id, s.Version) }
	}
}

// silent tells whether we are in the ring and have not tried to write anything in this stay, or since we have taken or
// regained a part. The others' checkpoints soon speak no more of what has become ours: if we died before ours does, it
// would be sent again.
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

// PublishLast publishes until it has succeeded or ctx ends: a last word that comes late is better than a successor that
// does not know what it need not send.
func (p *Publisher) PublishLast(ctx context.Context) {
	for !p.write(ctx, true) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// Behind returns a type among some of which we have seen less than another member had when it wrote its last
// checkpoint, empty when there is none.
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
