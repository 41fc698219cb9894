package target_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// alone is what a member without others has taken.
type alone struct {
	p    *target.Peer
	lost chan struct{}
}

func (a alone) Lost() <-chan struct{} { return a.lost }
func (a alone) Give()                 { a.p.Publish([]string{"m"}, nil, nil) }

// slowing is a receiver that takes longer from some time on. A client may be gone before it has its answer.
type slowing struct {
	*counting

	slow atomic.Bool
}

func (s *slowing) Send(ctx context.Context, r delivery.Request) wire.Outcome {
	if s.slow.Load() {
		select {
		case <-ctx.Done():
			return wire.Outcome{Kind: wire.Unknown, Own: true}
		case <-time.After(3 * time.Second):
		}
	}
	return s.counting.Send(ctx, r)
}

// A replica is restarted in the middle of a resync. The operation goes on with its part. The replica itself sends
// nothing again, because the receiver has had every object before.
func TestRestart_InTheMiddleOfAResync_SendsNothingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const objects = 1000
		client, list := fake.NewClientset(), scattered(objects)
		c := &slowing{counting: &counting{got: map[resource.ID]bool{}}}
		w := sim.History(20_000, list)
		start := func(incarnation string) *target.Peer {
			var p *target.Peer
			p = target.NewPeer(target.PeerOptions{
				Name: "m", Incarnation: incarnation, Maps: client.CoreV1(), Sender: c, Settle: time.Second, Pager: w,
				Leases: func() []ownership.MemberStatus { return nil },
				Take: func(_ context.Context, parts []handoff.Span) (handoff.Hold, error) {
					p.Publish([]string{"m"}, parts, nil)
					return alone{p, make(chan struct{})}, nil
				},
			})
			p.Begin()
			<-p.Synced()
			all := func(resource.Type, resource.ID) bool { return true }
			p.Publish([]string{"m"}, nil, nil)
			p.Gain(t.Context(), all, all, func(resource.Type, resource.ID) bool { return false })
			p.Index.Replace(pods, list, 20_000)
			return p
		}
		p := start("m.1")
		time.Sleep(2 * time.Minute)
		if got, sent := c.sum(); got != objects || sent != objects {
			t.Fatalf("the first sync sent %d of %d objects, %d times in all", got, objects, sent)
		}
		c.slow.Store(true)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Resync(ctx, operations.Request{}, []operations.Part{{Type: pods}}) }()
		time.Sleep(10 * time.Second)
		cancel()
		<-ended
		flush, enough := context.WithTimeout(t.Context(), 300*time.Millisecond)
		p.Leave(flush)
		enough()
		p.Gone()
		_, before := c.sum()
		if before <= objects || before >= 2*objects-100 {
			t.Fatalf("%d objects were sent when it stopped, which is not in the middle of the resync", before)
		}
		c.slow.Store(false)
		p = start("n.1")
		time.Sleep(2 * time.Minute)
		if _, sent := c.sum(); sent-before > objects/100 {
			t.Errorf("%d of %d objects were sent again after the restart", sent-before, objects)
		}
		p.Kill()
	})
}
