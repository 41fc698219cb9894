//go:build integration

package workload_test

import (
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// TestGeneratedClusterIsWhatTheOracleSees creates a cluster, churns it, and asks the oracle after each:
//   - the API server takes every object of every template, and every change;
//   - created objects are listed, and deleted ones are not;
//   - labels and descriptions are listed as they were planned.
func TestGeneratedClusterIsWhatTheOracleSees(t *testing.T) {
	cp := controlplane.ForTest(t, controlplane.Options{})
	plan, err := workload.Plan(workload.Options{Objects: 1000, Seed: 11})
	if err != nil {
		t.Fatal(err)
	}
	c, err := workload.Apply(t.Context(), cp.RESTConfig(), plan)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d objects in %s", len(c.IDs()), c.Took)
	want := list(t, cp.RESTConfig())
	checkPlanned(t, plan, want)

	changes := c.Churn(t.Context(), workload.ChurnOptions{Rate: -1, Changes: 800, Seed: 5})
	for _, change := range changes {
		if change.Err != nil {
			t.Errorf("%s %s: %v", change.Op, change.ID, change.Err)
		}
	}
	after := list(t, cp.RESTConfig())
	alive := make(map[resource.ID]bool)
	for _, id := range c.IDs() {
		alive[id] = true
		if _, ok := after[id]; !ok {
			t.Errorf("%s is there, but not listed", id)
		}
	}
	for _, change := range changes {
		if _, ok := after[change.ID]; ok && !alive[change.ID] {
			t.Errorf("%s is gone, but listed", change.ID)
		}
	}
	if late := c.Churn(t.Context(), workload.ChurnOptions{Rate: -1, For: time.Nanosecond, Seed: 6}); len(late) > 0 {
		t.Errorf("%d changes were begun after the time was over", len(late))
	}
	if workload.Compare(want, after).Empty() {
		t.Error("the churn changed nothing")
	}
}

func list(t *testing.T, config *rest.Config) map[resource.ID]workload.Doc {
	t.Helper()
	docs, err := workload.List(t.Context(), config, workload.Filter{Types: func(resource.Type) bool { return true }})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

func checkPlanned(t *testing.T, plan []workload.Object, got map[resource.ID]workload.Doc) {
	t.Helper()
	for _, o := range plan {
		if o.Manifest.GetName() == "" {
			continue // the API server has named it
		}
		id := o.Type.ID(o.Manifest.GetNamespace(), o.Manifest.GetName())
		doc, ok := got[id]
		if !ok {
			t.Errorf("%s is planned, but not listed", id)
			continue
		}
		for k, v := range o.Manifest.GetLabels() {
			if doc.Labels[k] != v {
				t.Errorf("%s: label %s is %q, want %q", id, k, doc.Labels[k], v)
			}
		}
		description := o.Manifest.GetAnnotations()["description"]
		if doc.Annotations["description"] != workload.Cut(description) {
			t.Errorf("%s: description is %q, want the first KiB of %q", id, doc.Annotations["description"], description)
		}
		if len(doc.Annotations) > 2 { // description and docs.example.com/description
			t.Errorf("%s: annotations %v, want descriptions only", id, doc.Annotations)
		}
	}
}

func TestDemoIsAccepted(t *testing.T) {
	cp := controlplane.ForTest(t, controlplane.Options{})
	plan, err := workload.Demo()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := workload.Apply(t.Context(), cp.RESTConfig(), plan); err != nil {
		t.Fatal(err)
	}
	docs, err := workload.List(t.Context(), cp.RESTConfig(), workload.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if doc := docs["payments/postgresql.cnpg.io/v1/Cluster/payments-db"]; doc.Annotations["description"] == "" {
		t.Errorf("the payments database is %+v, want it described", doc)
	}
	for id := range docs {
		p, err := resource.ParseID(string(id))
		if err != nil || p.Kind == "Lease" || p.Kind == "Event" || p.Kind == "EndpointSlice" {
			t.Errorf("%s is listed by default (%v)", id, err)
		}
	}
}

// BenchmarkGenerate creates the cluster of the project's measurements, and lists it.
func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		cp := controlplane.ForTest(b, controlplane.Options{})
		c, err := workload.Generate(b.Context(), cp.RESTConfig(), workload.Options{Objects: 20_000})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(c.IDs()))/c.Took.Seconds(), "objects/s")
		if _, err := workload.List(b.Context(), cp.RESTConfig(), workload.Filter{}); err != nil {
			b.Fatal(err)
		}
		if err := cp.Stop(); err != nil {
			b.Fatal(err)
		}
	}
}
