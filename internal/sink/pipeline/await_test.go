package pipeline_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

func TestAwaitDeleted_EndsWhenTheReceiverKnows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, pipeline.Options{})
		down := time.Now().Add(10 * time.Minute)
		r.rcv.decide = func(int, delivery.Request) answer {
			if time.Now().Before(down) {
				return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}}
			}
			return delivered
		}
		r.list("x", "1", "y", "1")
		r.del("x")
		wait := func(ctx context.Context, names ...string) chan error {
			var ids []resource.ID
			for _, name := range names {
				ids = append(ids, id(name))
			}
			done := make(chan error, 1)
			go func() { done <- r.p.AwaitDeleted(ctx, ids) }()
			return done
		}
		if err := <-wait(t.Context(), "y", "never"); err != nil { // Neither is deleted.
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := <-wait(ctx, "x"); err == nil {
			t.Error("it has ended while the receiver is down")
		}
		done := wait(t.Context(), "x")
		time.Sleep(time.Until(down))
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("it has ended before the receiver answers: %v", err)
		default:
		}
		if err := <-done; err != nil || time.Since(down) > 30*time.Second {
			t.Errorf("%v, %v after the receiver was back", err, time.Since(down))
		}
	})
}

// A caller does not wait for an object that has become another member's to send.
func TestAwaitDeleted_EndsWhenTheObjectIsGivenAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		o := owning(anybody)
		r := newRig(t, pipeline.Options{Owner: o})
		r.rcv.decide = func(int, delivery.Request) answer {
			return answer{outcome: wire.Outcome{Kind: wire.Retry, Status: 503}}
		}
		r.list("x", "1")
		r.del("x")
		done := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go func() { done <- r.p.AwaitDeleted(ctx, []resource.ID{id("x")}) }()
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("it has ended while the deletion is ours to send: %v", err)
		default:
		}
		o.set(nobody)
		r.p.MaySendChanged()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
