package target

import (
	"context"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Peer is one target of one process among others, over a membership that a test decides. It exchanges checkpoints
// with the others like a replica.
type Peer struct {
	Index *index.Index
	t     *Target
	fate  *fate
}

// PeerOptions say where a peer lives.
type PeerOptions struct {
	Name, Incarnation string
	Maps              corev1client.ConfigMapsGetter
	Sender            pipeline.Sender
	Pager             deletions.Pager
	Leases            func() []ownership.MemberStatus
	Settle            time.Duration
	// Compare compares the list of a resync with the index; nil compares nothing.
	Compare func(t resource.Type, in func(namespace, name string) bool) resync.Comparison
	// Doubt lists a type anew; nil lists nothing.
	Doubt      func(t resource.Type)
	Exceptions int  // the most objects that its checkpoints name; 0: as many as ever
	Batch      int  // the most upserts of a request; 0: as many as ever
	Cramped    bool // it has no room for the metadata of more than one object that waits
	// Schedule is the time between two full resyncs; 0: there are none.
	Schedule time.Duration
	// Served are the types that are served; nil: those that the peer is shown.
	Served func() []resource.Type
	// Take makes the peer the only sender of parts; nil: it takes none.
	Take func(ctx context.Context, parts []handoff.Span) (handoff.Hold, error)
	// Read tells whether types other than the one that it is shown have been read, too; nil: always.
	Read func() bool
}

// fate is the membership of a peer.
type fate struct {
	o PeerOptions

	mu          sync.Mutex // guards what follows
	incarnation string
	claim       ownership.Claim
	ring        *ring.Ring     // of the claim's view; nil without one
	mine        pipeline.Match // nil: nothing
	stale       bool           // fenced: nothing may be sent
	moved       chan struct{}  // closed and replaced with each claim, and with each edge of the fence
}

func (f *fate) Name() string { return f.o.Name }

func (f *fate) Incarnation() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.incarnation
}

func (f *fate) MaySend(t resource.Type, id resource.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mine != nil && !f.stale && f.mine(t, id)
}

func (f *fate) BeforeWrite() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stale {
		return membership.ErrFenced
	}
	return nil
}

func (f *fate) Taken(t resource.Type) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.ContainsFunc(slices.Concat(f.claim.Takes, f.claim.Yields), func(p ownership.Part) bool {
		return p.Group == t.Group && p.Version == t.Version && p.Resource == t.Resource
	})
}

func (f *fate) Await(ctx context.Context, ok func() bool) error {
	for {
		f.mu.Lock()
		moved := f.moved
		f.mu.Unlock()
		if ok() {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fate) Take(ctx context.Context, parts []handoff.Span) (handoff.Hold, error) {
	return f.o.Take(ctx, parts)
}

func (f *fate) View() membership.View {
	members := f.o.Leases()
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range members {
		l := members[i].Lease
		members[i].Self = l.Member == f.o.Name && ownership.Process(l.Incarnation) == ownership.Process(f.o.Incarnation)
	}
	return membership.View{Member: f.o.Name, Format: ring.DefaultFormat().String(), Status: ownership.Status{Claim: f.claim, Members: members}}
}

// Away implements [Rights]: by our claim, and nothing is away without one.
func (f *fate) Away(t resource.Type, id resource.ID) bool {
	f.mu.Lock()
	claim, view := f.claim, f.ring
	f.mu.Unlock()
	namespace := handoff.NamespaceOf(id)
	has := func(p ownership.Part) bool {
		return p.Kind == handoff.KindOf("default", t) && namespace >= p.From && (p.Until == "" || namespace < p.Until)
	}
	switch {
	case slices.ContainsFunc(claim.Takes, has):
		return false
	case slices.ContainsFunc(claim.Yields, has):
		return true
	default:
		return view != nil && view.Owner(view.Partition(string(id))) != f.o.Name
	}
}

// OwnedSince implements [Seat]: others may have sent any state.
func (f *fate) OwnedSince(resource.Type, resource.ID) uint64 { return 1 << 62 }

// outlet leads to a sender that a test has. Its receiver has no list.
type outlet struct{ pipeline.Sender }

func (o outlet) Connect(Spec, wire.Format, Parts) (Connection, error) { return o, nil }
func (outlet) Observe(delivery.State)                                 {}
func (outlet) Close()                                                 {}

func (outlet) List(Spec, Parts, func(context.Context) (func(), error)) (Listing, error) {
	return nil, orphans.ErrNoList
}

// shown are the types that a peer is shown, or said to be served.
type shown struct {
	x      *index.Index
	served func() []resource.Type // nil: those that it is shown
}

func (s shown) Sure() ([]resource.Type, bool) { return s.Served(), true }
func (s shown) Watching(resource.Type) bool   { return true }

func (s shown) Served() []resource.Type {
	if s.served != nil {
		return s.served()
	}
	return s.x.Types()
}

// NewPeer returns a peer that has not begun.
func NewPeer(o PeerOptions) *Peer {
	f := &fate{o: o, incarnation: o.Incarnation, moved: make(chan struct{})}
	x := index.New(nil)
	room := int64(0) // as much as a replica has
	if o.Cramped {
		room = 1
	}
	t, err := New(Spec{
		Name: "default", Endpoint: &url.URL{Scheme: "http", Host: "receiver"}, Format: wire.DotAI().Name(),
		Pace:   Pace{Debounce: 300 * time.Millisecond, MaxWait: time.Second, Flush: 100 * time.Millisecond, Settle: o.Settle, Resync: o.Schedule},
		Limits: Limits{MaxUpserts: o.Batch, MaxInFlight: 2, MaxBytes: 1 << 20, DirtyMaxBytes: room},
	}, Parts{
		Self: Self{Member: o.Name, Namespace: "ns", Ring: "ring"},
		Cluster: Cluster{
			Index: x, Pager: o.Pager, Types: shown{x, o.Served}, Wanted: func(resource.Type) bool { return true },
			Compare: o.Compare, Doubt: o.Doubt,
			Ready: func() bool {
				types := x.Types()
				return len(types) > 0 && x.Type(types[0]).Listed && (o.Read == nil || o.Read())
			},
		},
		Observers: Observers{Log: logr.Discard()},
		Seat:      func(string) Seat { return f }, Outlet: outlet{o.Sender}, Maps: o.Maps, Exceptions: o.Exceptions,
	})
	if err != nil {
		panic(err) // A peer has no test of its own.
	}
	return &Peer{Index: x, t: t, fate: f}
}

// Begin runs all parts but the watches.
func (p *Peer) Begin() {
	p.t.Listen()
	p.t.Start(func(error) {})
}

// Synced is closed once the checkpoints have been read.
func (p *Peer) Synced() <-chan struct{} { return p.t.store.Synced() }

// Fence takes every object from the peer: its Lease is lost. The peer comes back in another stay.
func (p *Peer) Fence(incarnation string) {
	p.fate.mu.Lock()
	p.fate.claim, p.fate.ring, p.fate.mine, p.fate.incarnation = ownership.Claim{}, nil, nil, incarnation
	p.fate.mu.Unlock()
	p.t.pipeline.MaySendChanged()
}

// Kill ends the peer at once, as a crash does.
func (p *Peer) Kill() {
	p.Fence("")
	p.t.Stop()
}

// Leave ends the peer in order: it sends due items until ctx ends, and writes its last checkpoint.
func (p *Peer) Leave(ctx context.Context) {
	p.t.endObserving()
	p.t.pipeline.Flush(ctx)
	p.t.CutOff()
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	p.t.Leave(ctx)
}

// Gone ends the rest after Leave.
func (p *Peer) Gone() { p.t.Stop() }

// Lose gives up the objects that match, and waits until no request holds them.
func (p *Peer) Lose(lost pipeline.Match) {
	p.fate.mu.Lock()
	if mine := p.fate.mine; mine != nil {
		p.fate.mine = func(t resource.Type, id resource.ID) bool { return mine(t, id) && !lost(t, id) }
	}
	p.fate.mu.Unlock()
	p.t.pipeline.MaySendChanged()
}

// Drain waits until no request holds an object that matches, and writes the last checkpoint under the old view.
func (p *Peer) Drain(lost pipeline.Match) {
	<-p.t.pipeline.Drain(lost)
	ctx, cancel := context.WithTimeout(context.Background(), handoff.PublishTimeout)
	defer cancel()
	p.t.progress.PublishLast(ctx)
}

// Publish publishes a claim.
func (p *Peer) Publish(view []string, takes, yields []handoff.Span) {
	of := func(spans []handoff.Span) (parts []ownership.Part) {
		for _, s := range spans {
			parts = append(parts, ownership.Part{Kind: handoff.KindOf("default", s.Type), From: s.From, Until: s.Until})
		}
		return parts
	}
	members, err := ring.New(view, ring.DefaultFormat())
	if err != nil {
		panic(err)
	}
	p.fate.mu.Lock()
	defer p.fate.mu.Unlock()
	p.fate.claim, p.fate.ring = ownership.Claim{View: view, Takes: of(takes), Yields: of(yields)}, members
	p.fate.move()
}

// move wakes those that await a change. The caller holds mu.
func (f *fate) move() {
	close(f.moved)
	f.moved = make(chan struct{})
}

// Stale says that the Lease has not been renewed in time, or has been again. Nothing is lost by that. Aware says so
// to the pipeline, later.
func (p *Peer) Stale(stale bool) {
	p.fate.mu.Lock()
	defer p.fate.mu.Unlock()
	p.fate.stale = stale
	p.fate.move()
}

// Shared tells the peer that its share, or the members that it publishes, may have changed.
func (p *Peer) Shared() { p.t.Shared() }

// PutInto adds the peer's target to a set.
func (p *Peer) PutInto(s *Set) { s.Put(p.t) }

// Aware tells the pipeline of the last edge of the fence.
func (p *Peer) Aware() { p.t.pipeline.MaySendChanged() }

// Resync sends parts again, as an operation does.
func (p *Peer) Resync(ctx context.Context, r operations.Request, parts []operations.Part) error {
	b, err := p.t.Take(ctx, r, parts)
	if err != nil {
		return err
	}
	defer b.End()
	for _, part := range parts {
		if _, err := b.Run(ctx, r, part, func(int, int) {}); err != nil {
			return err
		}
	}
	return nil
}

// Resyncs is the engine that shares out resyncs.
func (p *Peer) Resyncs() *operations.Engine { return p.t.Resyncs() }

// Gain takes up the objects that match, some of them from a crashed member, unless the peer is fenced meanwhile.
func (p *Peer) Gain(ctx context.Context, mine, gained, crashed pipeline.Match) {
	stay := p.fate.Incarnation()
	for ctx.Err() == nil && (p.t.store.Refresh(ctx) != nil || p.t.progress.Behind(func(resource.Type) bool { return true }) != "") {
		time.Sleep(20 * time.Millisecond)
	}
	p.t.TakeUp(gained, crashed)
	p.fate.mu.Lock()
	admitted := p.fate.incarnation == stay
	if admitted {
		p.fate.mine = mine
	}
	p.fate.mu.Unlock()
	if !admitted {
		return
	}
	p.t.Admitted(gained)
	p.t.Shared()
}

// Stats returns the statistics of the pipeline.
func (p *Peer) Stats() pipeline.Stats { return p.t.pipeline.Stats() }
