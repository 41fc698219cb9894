package target_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
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
