package backend_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app/backend"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

func TestPhasesOfTypes(t *testing.T) {
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "p"}, {Namespace: "a", Name: "q"}}, 1)
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	broken := errors.New("forbidden")
	for phase, want := range map[watch.Phase]api.TypeStatus{
		watch.Waiting: {Phase: api.TypeWaiting},
		watch.Listing: {Phase: api.TypeListing},
		watch.Synced:  {Phase: api.TypeWatching}, // the error is of an earlier phase
		watch.Failing: {Phase: api.TypeFailing, Error: "forbidden"},
		watch.Stopped: {Phase: api.TypeWaiting},
	} {
		want.Name, want.Objects, want.Since = "pods.v1", 2, since
		got := asked{x: x, watches: []watch.Status{{Type: pods, Phase: phase, Since: since, Err: broken}}}.backend().Status(t.Context()).Types[0]
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v: %s", phase, diff)
		}
	}
}

func TestKnownObjects(t *testing.T) {
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "p"}}, 1)
	x.Replace(namespaces, []resource.Record{{Name: "a"}}, 1)
	x.Replace(widgets("v1"), []resource.Record{{Namespace: "a", Name: "w"}}, 1)
	for id, want := range map[resource.ID]bool{
		"a/v1/Pod/p":                 true,
		"a/v1/Pod/q":                 false,
		"b/v1/Pod/p":                 false,
		"_cluster/v1/Namespace/a":    true,
		"a/example.com/v1/Widget/w":  true,
		"a/example.com/v2/Widget/w":  false,
		"a/v1/Widget/w":              false,
		"no ID at all":               false,
		"_cluster/v1/Namespace/nope": false,
	} {
		if got, err := (asked{x: x}).backend().Owner(id); err != nil || got.Known != want {
			t.Errorf("%s: known %v (%v), want %v", id, got.Known, err, want)
		}
	}
}

// sender answers each request with the outcome that a test gives it.
type sender func(r delivery.Request) wire.Outcome

func (s sender) Send(_ context.Context, r delivery.Request) wire.Outcome { return s(r) }

// TestStatusOfATarget takes a receiver through its states.
func TestStatusOfATarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var down atomic.Bool
		breaker := delivery.NewBreaker(delivery.BreakerOptions{})
		p := pipeline.New(sender(func(r delivery.Request) wire.Outcome {
			if down.Load() {
				return wire.Outcome{Kind: wire.Retry, Reason: "connection refused"}
			}
			var bad []wire.ItemError
			for i, u := range r.Upserts {
				if u.Name != "good" {
					bad = append(bad, wire.ItemError{Index: i, Reason: "no " + u.Name})
				}
			}
			if len(bad) > 0 {
				return wire.Outcome{Kind: wire.Refused, Status: 400, Bad: bad}
			}
			return wire.Outcome{Kind: wire.Delivered, Status: 200}
		}), wire.DotAI(), breaker, pipeline.Options{MaxUpserts: 1000})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- p.Run(ctx) }()
		defer func() { cancel(); <-done }()
		x := index.New(nil)
		x.Listen(p)

		status := func() api.Target {
			return asked{x: x, started: started, targets: []backend.Target{receiver{p: p}}}.backend().Status(t.Context()).Targets[0]
		}
		ignore := cmpopts.EquateEmpty()
		want := api.Target{
			Name: "default", Endpoint: "http://receiver", Format: "dot-ai", State: api.TargetDelivering, Since: started,
			InStep: true, FirstSync: &api.Progress{},
		}
		if diff := cmp.Diff(want, status(), ignore); diff != "" {
			t.Errorf("at the start: %s", diff)
		}

		list := []resource.Record{{Namespace: "a", Name: "good"}}
		for i := range 150 {
			list = append(list, resource.Record{Namespace: "a", Name: fmt.Sprintf("bad-%03d", i)})
		}
		x.Replace(pods, list, 1)
		time.Sleep(time.Minute)
		got := status()
		if got.QuarantinedTotal != 150 || len(got.Quarantined) != 100 || !got.InStep || got.Upserts != 1 ||
			*got.FirstSync != (api.Progress{Done: 151, Total: 151}) {
			t.Errorf("with objects that are refused: %+v", got)
		}
		if first := got.Quarantined[0]; first != (api.Quarantined{ID: "a/v1/Pod/bad-000", Reason: "no bad-000", Since: started}) {
			t.Errorf("the first of them: %+v", first)
		}

		down.Store(true)
		began := time.Now()
		x.Upsert(pods, resource.Record{Namespace: "a", Name: "good", Digest: 1 << 32}) // digests of 0 to 2 count as one
		time.Sleep(time.Minute)
		got = status()
		if got.State != api.TargetBackingOff || got.Reason != "connection refused" || got.InStep || got.Dirty != 1 ||
			got.OldestDirtySeconds != 60 || !got.Since.Equal(began) || got.NextAttempt == nil || got.NextAttempt.Before(time.Now()) {
			t.Errorf("while the receiver is down: %+v", got)
		}

		down.Store(false)
		time.Sleep(time.Minute)
		if got = status(); got.State != api.TargetDelivering || got.Reason != "" || got.NextAttempt != nil || !got.InStep {
			t.Errorf("when it is back: %+v", got)
		}
	})
}
