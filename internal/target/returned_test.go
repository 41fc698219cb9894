package target_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/sim"
)

// A resync of one replica's own objects waits for the type, which another resync has taken. It goes on when that
// resync gives the type back, and not before, and ends when its context ends.
func TestResync_OfWhatAReplicaOwns_WaitsForWhatAnotherHasTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{got: map[resource.ID]bool{}}
		p := target.NewPeer(target.PeerOptions{
			Name: "m", Incarnation: "m.1", Maps: fake.NewClientset().CoreV1(), Sender: c, Settle: time.Second,
			Leases: func() []ownership.MemberStatus { return nil }, Pager: sim.History(0, nil),
		})
		p.Begin()
		<-p.Synced()
		taken := []handoff.Span{{Type: pods, From: "b"}}
		p.Publish([]string{"m", "n"}, nil, taken)
		p.Index.Replace(pods, nil, 100)
		resync := func(ctx context.Context) chan error {
			done := make(chan error, 1)
			go func() {
				done <- p.Resync(ctx, operations.Request{Scope: operations.Replica}, []operations.Part{{Type: pods, OwnedOnly: true}})
			}()
			return done
		}
		ctx, cancel := context.WithCancel(t.Context())
		ends, goesOn := resync(ctx), resync(t.Context())
		p.Publish([]string{"m"}, nil, taken) // another change
		time.Sleep(time.Hour)
		select {
		case err := <-goesOn:
			t.Fatalf("it does not wait: %v", err)
		default:
		}
		cancel()
		if err := <-ends; !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
		p.Publish([]string{"m"}, nil, nil)
		given := time.Now()
		if err := <-goesOn; err != nil || time.Since(given) > time.Second {
			t.Errorf("it ends with %v, %v after the type was given back", err, time.Since(given))
		}
		p.Kill()
	})
}

// A fence that falls while a part is listed refuses its objects, and does not make them another member's. The part
// is sent anew once the fence is over, and not listed in vain meanwhile.
func TestResync_FencedWhileItLists_SendsOnceTheFenceIsOver(t *testing.T) {
	for name, part := range map[string]operations.Part{"of what a replica owns": {Type: pods, OwnedOnly: true}, "of a type": {Type: pods}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &counting{got: map[resource.ID]bool{}}
				objects := []resource.Record{sim.Object("o2", 90), sim.Object("o3", 91)}
				lists := &fencing{Pager: sim.History(100, objects)}
				p := target.NewPeer(target.PeerOptions{
					Name: "m", Incarnation: "m.1", Maps: fake.NewClientset().CoreV1(), Sender: c, Settle: time.Second, Pager: lists,
					Leases: func() []ownership.MemberStatus { return nil },
					Take:   func(context.Context, []handoff.Span) (handoff.Hold, error) { return kept{}, nil },
				})
				p.Begin()
				<-p.Synced()
				all := func(resource.Type, resource.ID) bool { return true }
				p.Publish([]string{"m"}, nil, nil)
				p.Gain(t.Context(), all, all, func(resource.Type, resource.ID) bool { return false })
				p.Index.Replace(pods, objects, 100)
				time.Sleep(time.Minute)
				_, before := c.sum()
				lists.first.Store(new(func() { p.Stale(true) }))
				done := make(chan error, 1)
				go func() { done <- p.Resync(t.Context(), operations.Request{}, []operations.Part{part}) }()
				time.Sleep(time.Minute)
				select {
				case err := <-done:
					t.Fatalf("it ends behind the fence: %v, after %d lists", err, lists.n.Load())
				default:
				}
				if _, sent := c.sum(); sent != before || lists.n.Load() != 1 {
					t.Errorf("behind the fence %d objects are sent, and %d lists are made, want none and 1", sent-before, lists.n.Load())
				}
				p.Stale(false)
				p.Aware()
				if err := <-done; err != nil {
					t.Error(err)
				}
				if _, sent := c.sum(); sent-before != len(objects) {
					t.Errorf("%d objects are sent, want %d", sent-before, len(objects))
				}
				p.Kill()
			})
		})
	}
}

// fencing counts lists, and calls first in the middle of the first one after it is set.
type fencing struct {
	sim.Pager

	first atomic.Pointer[func()]
	n     atomic.Int32
}

func (f *fencing) Pages(ctx context.Context, t resource.Type, o watch.ListOptions, page func([]resource.Record) error) (uint64, error) {
	if first := f.first.Load(); first != nil && f.n.Add(1) == 1 {
		(*first)()
	}
	return f.Pager.Pages(ctx, t, o, page) // The caller knows what it has asked for.
}

// kept is a hold that is never lost.
type kept struct{}

func (kept) Lost() <-chan struct{} { return nil }
func (kept) Give()                 {}
