package backend_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app/backend"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
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
		got, err := backend.Match(served, name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q: %s", name, diff)
		}
	}
	cut := []resource.Type{events, pods.In("a"), pods.In("b")}
	for name, want := range map[string][]resource.Type{
		"pods": cut[1:], "pods.v1": cut[1:], "pods.v1@b": cut[2:],
	} {
		if got, err := backend.Match(cut, name); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%q of %v: %v, %v", name, cut, got, err)
		}
	}
	for namespace, want := range map[string][]resource.Type{"": cut, "a": cut[:2], "b": {events, cut[2]}, resource.ClusterNamespace: nil} {
		if got := backend.Within(cut, namespace); !slices.Equal(want, got) {
			t.Errorf("in %q of %v: %v", namespace, cut, got)
		}
	}
	for name, want := range map[string]string{"pod": "pods", "widget": "widgets", "widgets.example.org": "widgets.example.com"} {
		_, err := backend.Match(served, name)
		var missing *api.NotFoundError
		if !errors.As(err, &missing) || missing.Name != name || len(missing.Suggestions) == 0 || missing.Suggestions[0] != want {
			t.Errorf("%q: %v, want the suggestion %s", name, err, want)
		}
	}
}

func TestNamesOfNamespaces(t *testing.T) {
	x := index.New(nil)
	if err := backend.CheckNamespace(x, "anything"); err != nil {
		t.Errorf("without Namespaces in the index nothing can be refused: %v", err)
	}
	x.Upsert(namespaces, resource.Record{Name: "shop"})
	if err := backend.CheckNamespace(x, "payments"); err != nil {
		t.Errorf("before Namespaces are listed nothing can be refused: %v", err)
	}
	x.Replace(namespaces, []resource.Record{{Name: "shop"}, {Name: "payments"}}, 1)
	for _, name := range []string{"", "shop", resource.ClusterNamespace} {
		if err := backend.CheckNamespace(x, name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	err := backend.CheckNamespace(x, "shopp")
	var missing *api.NotFoundError
	if !errors.As(err, &missing) || missing.What != "namespace" || len(missing.Suggestions) == 0 || missing.Suggestions[0] != "shop" {
		t.Errorf("got %v, want the suggestion shop", err)
	}
}

func TestOperationsAreReportedAsAskedFor(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	ended := began.Add(time.Minute)
	running := operations.Operation{
		ID: "op", Member: "sync-0", StartedAt: began, Status: operations.Running,
		Request: operations.Request{Label: "pods", Namespace: "a", Trigger: operations.Requested, Target: "default"},
		Types:   3, TypesDone: 1, Offered: 30, Open: 10, Estimate: 100,
		Shares: []operations.Share{{Member: "sync-0", Parts: 2, Objects: 60, Done: 1, Offered: 30, Open: 10}, {Member: "sync-1", Parts: 1, Objects: 40}},
	}
	done := operations.Operation{
		ID: "op2", Member: "sync-0", StartedAt: began, FinishedAt: ended, Status: operations.Done,
		Request: operations.Request{Trigger: operations.Scheduled, Scope: operations.Replica, Force: true, Target: "shop.search"},
		Types:   3, TypesDone: 3, Offered: 90, Estimate: 100, Failures: map[string]string{"b": "forbidden", "a": "gone"}, FailedTypes: 2,
	}
	wantRunning := api.Operation{
		ID: "op", Member: "sync-0", StartedAt: began, Target: "default",
		Status: api.OperationRunning, Trigger: api.TriggerRequest, Scope: api.ScopeFleet, Resource: "pods", Namespace: "a",
		Types: api.Progress{Done: 1, Total: 3}, Resources: api.Progress{Done: 20, Total: 100},
		Shares: api.List[api.Share]{
			{Member: "sync-0", Parts: api.Progress{Done: 1, Total: 2}, Resources: api.Progress{Done: 20, Total: 60}},
			{Member: "sync-1", Parts: api.Progress{Total: 1}, Resources: api.Progress{Total: 40}},
		},
	}
	wantDone := api.Operation{
		ID: "op2", Member: "sync-0", StartedAt: began, FinishedAt: &ended, Target: "shop.search",
		Status: api.OperationDone, Trigger: api.TriggerSchedule, Scope: api.ScopeReplica, Force: true,
		Types: api.Progress{Done: 3, Total: 3}, Resources: api.Progress{Done: 90, Total: 90}, Message: "2 types could not be resynced",
		Failed: api.List[api.TypeFailure]{{Type: "a", Error: "gone"}, {Type: "b", Error: "forbidden"}},
	}
	if diff := cmp.Diff(wantRunning, backend.Operation(running)); diff != "" {
		t.Errorf("one under way: %s", diff)
	}
	if diff := cmp.Diff(wantDone, backend.Operation(done)); diff != "" {
		t.Errorf("one that is done: %s", diff)
	}
	both := backend.SumOfOperations(done, running)
	want := wantRunning
	want.ID, want.Target, want.Message, want.Failed = "op2+op", "", wantDone.Message, wantDone.Failed
	want.Trigger, want.Scope, want.Force, want.Resource, want.Namespace = wantDone.Trigger, wantDone.Scope, wantDone.Force, "", ""
	want.Types, want.Resources = api.Progress{Done: 4, Total: 6}, api.Progress{Done: 110, Total: 190}
	if diff := cmp.Diff(want, both); diff != "" {
		t.Errorf("both as one: %s", diff)
	}
}
