package app_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

func TestNamesOfTypes(t *testing.T) {
	served := []resource.Type{events, pods, newEvents, widgets("v1")}
	for name, want := range map[string][]resource.Type{
		"":                       served,
		"pods":                   {pods},
		"pods.v1":                {pods},
		"events":                 {events, newEvents},
		"events.events.k8s.io":   {newEvents},
		"widgets.v1.example.com": {widgets("v1")},
	} {
		got, err := app.Match(served, name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	for name, want := range map[string]string{"pod": "pods", "widget": "widgets", "widgets.example.org": "widgets.example.com"} {
		_, err := app.Match(served, name)
		var missing *api.NotFoundError
		if !errors.As(err, &missing) || missing.Name != name || len(missing.Suggestions) == 0 || missing.Suggestions[0] != want {
			t.Errorf("%q: %v, want the suggestion %s", name, err, want)
		}
	}
}

func TestNamesOfNamespaces(t *testing.T) {
	x := index.New(nil)
	if err := app.CheckNamespace(x, "anything"); err != nil {
		t.Errorf("without Namespaces in the index nothing can be refused: %v", err)
	}
	x.Upsert(namespaces, resource.Record{Name: "shop"})
	if err := app.CheckNamespace(x, "payments"); err != nil {
		t.Errorf("before Namespaces are listed nothing can be refused: %v", err)
	}
	x.Replace(namespaces, []resource.Record{{Name: "shop"}, {Name: "payments"}}, 1)
	for _, name := range []string{"", "shop", resource.ClusterNamespace} {
		if err := app.CheckNamespace(x, name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	err := app.CheckNamespace(x, "shopp")
	var missing *api.NotFoundError
	if !errors.As(err, &missing) || missing.What != "namespace" || len(missing.Suggestions) == 0 || missing.Suggestions[0] != "shop" {
		t.Errorf("got %v, want the suggestion shop", err)
	}
}

func TestOperationsAreReportedAsAskedFor(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ended := began.Add(time.Minute)
	types := []resource.Type{pods, events, widgets("v1")}
	for name, tt := range map[string]struct {
		op   resync.Operation
		want api.Operation
	}{
		"one under way, with an estimate for a total": {
			resync.Operation{
				Request: resync.Request{Types: types, Label: "pods", Namespace: "a", Trigger: resync.Requested}, Status: resync.Running,
				TypesDone: 1, Offered: 30, Open: 10, Estimate: 100,
			},
			api.Operation{
				Status: api.OperationRunning, Trigger: api.TriggerRequest, Scope: api.ScopeFleet, Resource: "pods", Namespace: "a",
				Types: api.Progress{Done: 1, Total: 3}, Resources: api.Progress{Done: 20, Total: 100},
			},
		},
		"one that is done knows its total": {
			resync.Operation{
				Request: resync.Request{Types: types, Trigger: resync.Scheduled}, Status: resync.Done, FinishedAt: ended,
				TypesDone: 3, Offered: 90, Estimate: 100,
			},
			api.Operation{
				Status: api.OperationDone, Trigger: api.TriggerSchedule, Scope: api.ScopeFleet, FinishedAt: &ended,
				Types: api.Progress{Done: 3, Total: 3}, Resources: api.Progress{Done: 90, Total: 90},
			},
		},
		"with the scope and the force that were asked for": {
			resync.Operation{Request: resync.Request{Scope: "replica", Force: true, Trigger: resync.Requested}, Status: resync.Running},
			api.Operation{Status: api.OperationRunning, Trigger: api.TriggerRequest, Scope: api.ScopeReplica, Force: true},
		},
		"with one type that failed": {
			resync.Operation{Status: resync.Done, FinishedAt: ended, Failures: map[string]string{"b": "forbidden"}},
			api.Operation{
				Status: api.OperationDone, Scope: api.ScopeFleet, FinishedAt: &ended, Message: "1 type could not be read",
				Failed: api.List[api.TypeFailure]{{Type: "b", Error: "forbidden"}},
			},
		},
		"with types that failed, sorted": {
			resync.Operation{Status: resync.Done, FinishedAt: ended, Failures: map[string]string{"b": "forbidden", "a": "gone"}},
			api.Operation{
				Status: api.OperationDone, Scope: api.ScopeFleet, FinishedAt: &ended, Message: "2 types could not be read",
				Failed: api.List[api.TypeFailure]{{Type: "a", Error: "gone"}, {Type: "b", Error: "forbidden"}},
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			tt.op.ID, tt.op.StartedAt = "op", began
			tt.want.ID, tt.want.StartedAt, tt.want.Member = "op", began, "sync-0"
			if diff := cmp.Diff(tt.want, app.Operation(tt.op, "sync-0")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
