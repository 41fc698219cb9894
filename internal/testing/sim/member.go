package sim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/configmaps"
)

// member is one process.
type member struct {
	w      *World
	name   string
	stay   int
	peer   Peer
	maps   *configmaps.Client
	verify *verify.Verifier
	ctx    context.Context
	cancel context.CancelFunc
	live   bool // by its Lease
	joined bool // may be in the ring
	away   bool // fenced, and taken for dead
	stale  bool // fenced, and soon to be renewed
	watches

	fence context.Context // ends with its Lease
	fall  context.CancelFunc
}

// watches are the state of a member's watches.
type watches struct {
	lags   bool // they bring nothing
	relist bool // they are to begin anew
	listed bool
	blind  bool      // they have ended
	next   int       // in events
	solid  time.Time // since when the member has seen every event
	unseen bool      // the member believes that the second type is not served

	loses    int             // how many of the next events are lost
	missing  map[string]bool // objects whose last event was lost, and that no list has shown since
	owed     map[string]bool // objects with a lost event, about which the receiver may be wrong since then
	listedAt time.Time       // last
	relisted chan struct{}   // closed when the index has that list; nil when no goroutine waits
	diverged bool            // a verification has found a difference, and no list has come since
}

// Send implements the way to the receiver: a request in flight loses its client when the fence falls.
func (m *member) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	m.w.mu.Lock()
	fence := m.fence
	m.w.mu.Unlock()
	if fence.Err() != nil {
		return wire.Outcome{Kind: wire.Fenced}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(fence, cancel)()
	return m.w.send(ctx, m.name, r)
}

func (m *member) incarnation() string { return fmt.Sprintf("%s-process-%p.%d", m.name, m, m.stay) }

// leases are the Leases that every member sees.
func (w *World) leases() []ownership.MemberStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []ownership.MemberStatus
	for _, name := range slices.Sorted(maps.Keys(w.members)) {
		m := w.members[name]
		state := ownership.Dead
		if m.live {
			state = ownership.Live
		}
		all = append(all, ownership.MemberStatus{Lease: ownership.Lease{Member: name, Incarnation: m.incarnation(), State: state}})
	}
	return all
}

// start starts a process under a name, which takes some time to read other types than those of this world.
func (w *World) start(name string, reads time.Duration, limits Limits) {
	m := &member{w: w, name: name, live: true, maps: w.maps.Client(name), watches: watches{missing: map[string]bool{}, owed: map[string]bool{}}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.fence, m.fall = context.WithCancel(m.ctx)
	read := time.Now().Add(reads)
	m.peer = w.newPeer(PeerOptions{
		Name: name, Incarnation: m.incarnation(), Maps: m.maps, Sender: m, Pager: w, Leases: w.leases, Settle: 5 * time.Second, Limits: limits,
		Schedule: w.schedule,
		Read:     func() bool { return time.Now().After(read) },
		Compare: func(t resource.Type, in func(namespace, name string) bool) resync.Comparison {
			return m.verify.Part(t, in)
		},
		Doubt: func(t resource.Type) { m.verify.Doubt(t) },
		Take:  func(ctx context.Context, parts []handoff.Span) (handoff.Hold, error) { return w.take(ctx, m, parts) },
		Served: func() []resource.Type {
			w.mu.Lock()
			defer w.mu.Unlock()
			return m.served()
		},
	})
	m.verify = w.verifier(m)
	w.say("start %s, which reads for %.2f s", name, reads.Seconds())
	w.mu.Lock()
	m.unseen = w.removed
	w.members[name] = m
	w.mu.Unlock()
	m.peer.Begin()
	w.late.Go(func() { _ = m.verify.Run(m.ctx) }) // ends with the member, and returns no other error
	go func() {
		select {
		case <-m.ctx.Done():
			return
		case <-m.peer.Synced():
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		m.joined = true
	}()
}

// errKilled is the answer to what a killed process still writes.
var errKilled = errors.New("the process has ended")

// kill ends a process without a last checkpoint.
func (w *World) kill(m *member) {
	w.say("kill %s", m.name)
	m.cancel()
	m.maps.Break(func(f *configmaps.Faults) { f.Err = errKilled })
	m.peer.Kill()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.crash(m)
}

// fence lets a running member's Lease expire.
func (w *World) fence(m *member) {
	w.say("%s is fenced", m.name)
	w.mu.Lock()
	m.away = true
	w.crash(m)
	m.stay++
	incarnation := m.incarnation()
	w.mu.Unlock()
	m.peer.Fence(incarnation)
}

// unfence lets the member join again.
func (w *World) unfence(m *member) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.away, m.live = false, m.ctx.Err() == nil
	if !m.stale {
		m.fence, m.fall = context.WithCancel(m.ctx)
	}
}

// pause fences a member for a while, less than it takes to be found dead. The member loses nothing. Its pipeline is
// told of each edge a little later, because the member may be handing over at that moment.
func (w *World) pause(m *member, lasts, late time.Duration) {
	w.say("%s is not renewed in time, for %.2f s", m.name, lasts.Seconds())
	w.mu.Lock()
	m.stale = true
	m.fall()
	w.mu.Unlock()
	m.peer.Stale(true)
	time.AfterFunc(min(late, lasts), m.peer.Aware)
	time.AfterFunc(lasts, func() {
		w.mu.Lock()
		m.stale = false
		if m.ctx.Err() == nil && !m.away {
			m.fence, m.fall = context.WithCancel(m.ctx)
		}
		w.mu.Unlock()
		m.peer.Stale(false)
		time.AfterFunc(late, m.peer.Aware)
	})
}

// crash ends a member's Lease as an expiry does. The caller holds mu.
func (w *World) crash(m *member) {
	m.live = false
	m.fall()
	if slices.Contains(w.agreed.view, m.name) {
		w.gone[m.name] = true
	}
}

// leave ends a member in order, while the rest of the world goes on.
func (w *World) leave(m *member) {
	w.mu.Lock()
	m.blind = true
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	m.peer.Leave(ctx)
	w.mu.Lock()
	m.live = false
	if slices.Contains(w.agreed.view, m.name) && !w.gone[m.name] {
		w.gone[m.name] = false
	}
	w.mu.Unlock()
	m.cancel()
	m.peer.Gone()
}
