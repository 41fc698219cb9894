package app_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
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
		got, err := app.Match(served, name)
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
		if got, err := app.Match(cut, name); err != nil || !cmp.Equal(want, got) {
			t.Errorf("%q of %v: %v, %v", name, cut, got, err)
		}
	}
	for namespace, want := range map[string][]resource.Type{"": cut, "a": cut[:2], "b": {events, cut[2]}, resource.ClusterNamespace: nil} {
		if got := app.Within(cut, namespace); !slices.Equal(want, got) {
			t.Errorf("in %q of %v: %v", namespace, cut, got)
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

// TestReadAs: a tombstone of a member that reads a type in the other division is of what is read here.
func TestReadAs(t *testing.T) {
	sliced := map[string]resource.Type{"pods.v1@a": pods.In("a"), "pods.v1@b": pods.In("b")}
	whole := map[string]resource.Type{"pods.v1": pods}
	for _, test := range []struct {
		types           map[string]resource.Type
		name, namespace string
		want            resource.Type
	}{
		{whole, "pods.v1", "a", pods},
		{whole, "pods.v1@a", "a", pods},
		{sliced, "pods.v1", "b", pods.In("b")},
		{sliced, "pods.v1@b", "b", pods.In("b")},
		{sliced, "pods.v1", "c", resource.Type{}},
		{sliced, "jobs.v1.batch@a", "a", resource.Type{}},
	} {
		if got, ok := app.ReadAs(test.types, test.name, test.namespace); got != test.want || ok != (test.want != resource.Type{}) {
			t.Errorf("%s in %s is read as %s (%t), want %s", test.name, test.namespace, got, ok, test.want)
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
	if diff := cmp.Diff(wantRunning, app.Operation(running)); diff != "" {
		t.Errorf("one under way: %s", diff)
	}
	if diff := cmp.Diff(wantDone, app.Operation(done)); diff != "" {
		t.Errorf("one that is done: %s", diff)
	}
	both := app.SumOfOperations(done, running)
	want := wantRunning
	want.ID, want.Target, want.Message, want.Failed = "op2+op", "", wantDone.Message, wantDone.Failed
	want.Trigger, want.Scope, want.Force, want.Resource, want.Namespace = wantDone.Trigger, wantDone.Scope, wantDone.Force, "", ""
	want.Types, want.Resources = api.Progress{Done: 4, Total: 6}, api.Progress{Done: 110, Total: 190}
	if diff := cmp.Diff(want, both); diff != "" {
		t.Errorf("both as one: %s", diff)
	}
}
