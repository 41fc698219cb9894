package target_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// counting is a receiver that counts what it gets.
type counting struct {
	mu   sync.Mutex // guards what follows
	got  map[resource.ID]bool
	sent int
}

func (c *counting) Send(_ context.Context, r delivery.Request) wire.Outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, u := range r.Upserts {
		c.got[u.ID] = true
		c.sent++
	}
	return wire.Outcome{Kind: wire.Delivered, Status: 200}
}

// sum returns how many objects have arrived, and how many times in all.
func (c *counting) sum() (objects, sent int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.got), c.sent
}

// fleetOf is a ring whose members join one after the other, over one type and one receiver.
type fleetOf struct {
	t        *testing.T
	client   *fake.Clientset
	receiver *counting
	sender   pipeline.Sender // replaces the receiver of this fleet
	opaque   bool            // versions are no numbers
	list     []resource.Record
	peers    map[string]sim.Peer
	view     []string

	mu     sync.Mutex // guards what follows
	leases []ownership.MemberStatus
}

func newFleet(t *testing.T, c *counting, list []resource.Record) *fleetOf {
	t.Helper()
	return &fleetOf{t: t, client: fake.NewClientset(), receiver: c, list: list, peers: map[string]sim.Peer{}}
}

// join starts a member, which lists everything before it is in the ring.
func (f *fleetOf) join(name string) {
	incarnation := name + ".1"
	f.mu.Lock()
	f.leases = append(f.leases, ownership.MemberStatus{Lease: ownership.Lease{Member: name, Incarnation: incarnation, State: ownership.Live}})
	f.mu.Unlock()
	sender := f.sender
	if sender == nil {
		sender = f.receiver
	}
	p := target.NewPeer(target.PeerOptions{
		Name: name, Incarnation: incarnation, Maps: f.client.CoreV1(), Sender: sender, Settle: time.Second,
		Leases: func() []ownership.MemberStatus {
			f.mu.Lock()
			defer f.mu.Unlock()
			return slices.Clone(f.leases)
		},
	})
	p.Begin()
	f.t.Cleanup(p.Kill)
	<-p.Synced()
	version := uint64(len(f.list)) + 100
	if f.opaque {
		version = 0
	}
	p.Index.Replace(pods, slices.Clone(f.list), version)
	f.peers[name] = simPeer{p}
	after := append(slices.Clone(f.view), name)
	sim.HandOver(f.t.Context(), f.peers, f.view, after, nil)
	f.view = after
}

// scattered are objects whose names do not tell which of them changed first.
func scattered(n int) []resource.Record {
	var list []resource.Record
	for i := range n {
		list = append(list, sim.Object(fmt.Sprintf("o%05d", i*7919%n), uint64(10+i)))
	}
	slices.SortFunc(list, func(a, b resource.Record) int { return strings.Compare(a.Name, b.Name) })
	return list
}
