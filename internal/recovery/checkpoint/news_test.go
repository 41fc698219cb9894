package checkpoint_test

import (
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// TestNewsTellOfWhichTypesACheckpointSaysMore: who forgets what is covered need not look at anything else.
func TestNewsTellOfWhichTypesACheckpointSaysMore(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	c := func(pods uint64, view ...string) checkpoint.Checkpoint {
		return checkpoint.Checkpoint{Member: "a", View: view, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Types: map[string]checkpoint.Entry{"pods.v1": {Low: pods, High: pods}, "services.v1": {Low: 5, High: 5}}}
	}
	b.Set("x/own", c(5, "a", "b"))
	if n := b.News(); !n.Of("pods.v1", false) || !n.Of("nodes.v1", false) || n.Of("pods.v1", true) {
		t.Errorf("the first checkpoint: %+v", n)
	}
	if n := b.News(); n.Of("pods.v1", false) {
		t.Errorf("news are told twice: %+v", n)
	}
	b.Set("x/own", c(6, "a", "b"))
	if n := b.News(); !n.Of("pods.v1", false) || n.Of("services.v1", false) {
		t.Errorf("one type has moved: %+v", n)
	}
	b.Set("x/own", c(6, "a"))
	if n := b.News(); !n.Of("services.v1", false) {
		t.Errorf("another view speaks of other partitions: %+v", n)
	}
}
