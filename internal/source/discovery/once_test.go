package discovery_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
)

// TestOnce_TellsWhatWouldBeWatched asks a server with one group that does not answer, and then a server that
// does not answer at all.
func TestOnce_TellsWhatWouldBeWatched(t *testing.T) {
	filter, err := resource.NewFilter(nil, []string{"namespaces"})
	if err != nil {
		t.Fatal(err)
	}
	disco := &apiServer{}
	disco.set(served{core, {"example.com/v1", "widgets Widget"}}, failing(errors.New("down"), "broken.example.com/v1"))
	d := discovery.New(disco, nil, discovery.Options{Filter: filter})
	got, err := d.Once(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]resource.Type{podType, widget("v1")}, got.Types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]resource.Type{namespaceType}, got.LeftOut); diff != "" {
		t.Errorf("left out (-want +got):\n%s", diff)
	}
	if got.Failed["broken.example.com/v1"] == nil || len(got.Failed) != 1 {
		t.Errorf("failed: %v", got.Failed)
	}
	disco.set(nil, errors.New("refused"))
	if got, err := d.Once(t.Context()); err == nil {
		t.Errorf("no answer is %+v", got)
	}
}
