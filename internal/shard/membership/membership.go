package membership

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// Membership is this replica's place in its ring. Create it with [New].
type Membership struct {
	client  coordinationv1client.LeaseInterface
	opts    Options
	log     logr.Logger
	metrics *metrics
	rights  rights
	changes wake.Slot
	wake    wake.Slot
	left    chan struct{} // closed when the Lease has been released, or there is none to release
	fatal   chan error    // holds the error that ends Run
	relist  wake.Slot     // asks for the watch to be begun anew

	mu        sync.Mutex // guards everything below
	machine   *ownership.Machine
	leases    leases
	errands   errands
	known     edges
	admission admission
	taken     []*Taken      // the parts that are wholly ours
	running   chan struct{} // closed when Run has ended; nil when it has not begun
	moved     chan struct{} // closed and replaced whenever the membership may have changed
}

// rights answer senders without a lock.
type rights struct {
	grant atomic.Pointer[grant]
	fence atomic.Pointer[fence]
}

// grant is the area for which we may send. It is immutable.
type grant struct {
	owned    ownership.Area
	claimed  ownership.Area
	fencedAt time.Duration
	since    since
}

// fence is a context that ends when the fence falls.
type fence struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

func newFence() *fence {
	ctx, cancel := context.WithCancelCause(context.Background())
	return &fence{ctx, cancel}
}

// follow lets the fence fall, or lifts it. It tells whether the fence has changed.
func (r *rights) follow(fenced bool) bool {
	f := r.fence.Load()
	switch has := f.ctx.Err() != nil; {
	case fenced == has:
		return false
	case fenced:
		f.cancel(ErrFenced)
	default:
		r.fence.Store(newFence())
	}
	return true
}

// New returns a member that has not joined yet. It fails when the options are unsound, and names every fault.
// client is usually the CoordinationV1 client of the cluster.
func New(client coordinationv1client.LeasesGetter, opts Options) (*Membership, error) {
	if err := opts.complete(); err != nil {
		return nil, fmt.Errorf("configuring the membership: %w", err)
	}
	self := ownership.Self{Member: opts.PodName, UID: opts.PodUID, Process: string(uuid.NewUUID()), Duty: opts.Duty}
	machine, err := ownership.New(self, opts.Format, opts.Timings)
	if err != nil {
		return nil, fmt.Errorf("configuring the membership: %w", err)
	}
	m := &Membership{
		client:  client.Leases(opts.Namespace),
		opts:    opts,
		log:     opts.Log.WithName("membership").WithValues("ring", opts.RingName, "member", opts.PodName),
		changes: wake.New(),
		wake:    wake.New(),
		left:    make(chan struct{}),
		fatal:   make(chan error, 1),
		relist:  wake.New(),
		machine: machine,
		leases:  leases{self: opts.PodName, objects: make(map[string]*coordinationv1.Lease)},
		known:   edges{moving: -1},
		moved:   make(chan struct{}),
	}
	if opts.Hold {
		machine.Hold()
	}
	m.rights.grant.Store(&grant{claimed: machine.Claimed()})
	m.rights.fence.Store(newFence())
	m.rights.follow(true)
	m.metrics = newMetrics(opts.Registerer, m)
	return m, nil
}

// MaySend tells whether a request may begin that is not for an object, or for an object that no resync takes. It
// takes no lock and does not allocate. [Drainer] gives the order in which to ask.
func (m *Membership) MaySend(id resource.ID) bool { return m.MaySendOf(ownership.Kind{}, "", id) }

// MaySendOf is MaySend for an object of a kind, in a namespace.
func (m *Membership) MaySendOf(k ownership.Kind, namespace string, id resource.ID) bool {
	g := m.rights.grant.Load()
	return g.owned.Has(k, namespace, m.Partition(id)) && m.opts.Now() < g.fencedAt
}

// Away tells whether, by our own published claim, an object of a kind is another member's. A fence takes nothing
// away. Away takes no lock and does not allocate.
func (m *Membership) Away(k ownership.Kind, namespace string, id resource.ID) bool {
	return !m.rights.grant.Load().claimed.Has(k, namespace, m.Partition(id))
}

// OwnedSince returns a version of the Leases at which an object of a kind had been gained already, 0 when it
// never was. Every state of the object that another member has sent was written to the cluster before that
// version. OwnedSince takes no lock and does not allocate. Without Options.Admission it returns 0.
func (m *Membership) OwnedSince(k ownership.Kind, id resource.ID) uint64 {
	return m.rights.grant.Load().since.of(k, m.Partition(id))
}

// BeforeWrite returns [ErrFenced] when nothing may be sent. Senders ask it immediately before each write of a
// request, because a process that was stopped and continued wakes up anywhere. BeforeWrite takes no lock and does
// not allocate.
func (m *Membership) BeforeWrite() error {
	if m.opts.Now() < m.rights.grant.Load().fencedAt {
		return nil
	}
	return ErrFenced
}

// WithFence returns a context for a request. It ends with ctx, with the cause [ErrFenced] when the fence falls,
// and when cancel is called. The caller must call cancel to free the context. While we are fenced, the context
// has ended from the start.
func (m *Membership) WithFence(ctx context.Context) (_ context.Context, cancel context.CancelFunc) {
	ctx, end := context.WithCancelCause(ctx)
	stop := context.AfterFunc(m.rights.fence.Load().ctx, func() { end(ErrFenced) })
	return ctx, func() {
		stop()
		end(context.Canceled)
	}
}

// Partition returns the partition that an ID belongs to. It is the same in every process with this ring format.
func (m *Membership) Partition(id resource.ID) int { return m.PartitionOf(id.Hash()) }

// PartitionOf is Partition for the [resource.ID.Hash] of an ID.
func (m *Membership) PartitionOf(hash uint64) int { return m.opts.Format.PartitionOf(hash) }

// Changes has a value when our area or our view of the ring has changed, or the fence has fallen or been lifted,
// since the last receive. It has one slot and one reader.
func (m *Membership) Changes() <-chan struct{} { return m.changes }

// Owned returns the area for which we may send while not fenced.
func (m *Membership) Owned() ownership.Area { return m.rights.grant.Load().owned }

// Name is our name in the ring.
func (m *Membership) Name() string { return m.opts.PodName }

// Incarnation names our stay in the ring; after the loss of the Lease there is another one.
func (m *Membership) Incarnation() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Incarnation()
}

// View is a member's knowledge of its ring.
type View struct {
	// Ring, Member and Format are our own; Format is spelled as in Leases.
	Ring, Member, Format string
	ownership.Status
}

// View returns our knowledge of the ring, for people, the API and the orphan alarm. The caller must not change
// the Leases in it.
func (m *Membership) View() View {
	m.mu.Lock()
	defer m.mu.Unlock()
	return View{
		Ring:   m.opts.RingName,
		Member: m.opts.PodName,
		Format: m.opts.Format.String(),
		Status: m.machine.Status(m.opts.Now()),
	}
}

// Owner says which members are concerned with one object.
type Owner struct {
	// Partition is its partition.
	Partition int
	// Member is the member that has taken the object for a resync, or should own it by our view; empty while we have
	// no view.
	Member string
	// Claimants are the members that claim it, by name. There are two in the middle of a handoff.
	Claimants []string
	// MaySend tells whether we may send the object at this moment.
	MaySend bool
}

// Owner returns which members are concerned with an object of a kind, in a namespace, as far as we know.
func (m *Membership) Owner(k ownership.Kind, namespace string, id resource.ID) Owner {
	o := Owner{Partition: m.Partition(id), MaySend: m.MaySendOf(k, namespace, id)}
	m.mu.Lock()
	defer m.mu.Unlock()
	o.Member, o.Claimants = m.machine.Claimants(k, namespace, o.Partition)
	return o
}

// Run joins the ring and follows it until ctx ends; then it returns nil. It returns a [PermissionError] when the
// API server refuses a needed request before we have ever joined. Afterwards only ctx ends Run, and every failure
// is retried and logged. Run must be called once.
func (m *Membership) Run(ctx context.Context) error {
	m.mu.Lock()
	m.running = make(chan struct{})
	m.mu.Unlock()
	defer close(m.running)
	ctx, cancel := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	defer watcher.Wait()
	defer cancel()
	watcher.Go(func() { m.watch(ctx) }) // ends with ctx
	return m.drive(ctx, nil)
}

// Release gives up everything that we own and releases the Lease, so that the others take over at once. The
// caller must have flushed before: from the call on, MaySend is false for everything. Release blocks until the
// Lease is released, or until ctx ends, and then says why it was not. Run should still be running, but may have
// ended.
func (m *Membership) Release(ctx context.Context) error {
	var running chan struct{}
	m.do(func(now time.Duration) {
		m.machine.Leave(now)
		running = m.running
	})
	if running != nil {
		select {
		case <-m.left:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("releasing the lease: %w", context.Cause(ctx))
		case <-running:
		}
	}
	if err := m.drive(ctx, m.left); err != nil {
		return err
	}
	select {
	case <-m.left:
		return nil
	default:
		return fmt.Errorf("releasing the lease: %w", context.Cause(ctx))
	}
}

// do changes the machine and acts on the change.
func (m *Membership) do(change func(now time.Duration)) {
	m.mu.Lock()
	now := m.opts.Now()
	change(now)
	m.follow(now)
	m.mu.Unlock()
	m.wake.Wake()
}
