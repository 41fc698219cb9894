//go:build integration

package replay_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// TestReplay_OfARealAPIServer_ShowsTheSame compares types, objects and versions, read by the same code.
func TestReplay_OfARealAPIServer_ShowsTheSame(t *testing.T) {
	cp := controlplane.ForTest(t, controlplane.Options{})
	if _, err := workload.Generate(t.Context(), cp.RESTConfig(), workload.Options{Objects: 200, Namespaces: 5}); err != nil {
		t.Fatal(err)
	}
	recording, err := replay.Record(t.Context(), cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	s := replay.Start(recording, replay.Options{})
	defer s.Stop()
	wantTypes, err := workload.Types(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	gotTypes, err := workload.Types(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantTypes, gotTypes); diff != "" {
		t.Errorf("types (-real +replayed):\n%s", diff)
	}
	want, err := workload.List(t.Context(), cp.RESTConfig(), workload.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := workload.List(t.Context(), s.RESTConfig(), workload.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := workload.Compare(want, got); len(want) < 200 || len(diff.Missing)+len(diff.Stale)+len(diff.Wrong) > 0 {
		t.Errorf("%d objects, of which the replay server differs in %+v", len(want), diff)
	}
	again, err := replay.Record(t.Context(), s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	for i := range again.Types { // versions and managedFields too
		if diff := cmp.Diff(recording.Types[i], again.Types[i]); diff != "" && recording.Types[i].Type.Resource != "leases" {
			t.Errorf("%s (-recorded +recorded again):\n%s", recording.Types[i].Type, diff)
		}
	}
}
