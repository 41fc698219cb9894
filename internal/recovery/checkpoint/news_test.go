package checkpoint_test

import (
	"fmt"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// TestNewsTellOfWhichTypesACheckpointSaysMore: a member that forgets covered objects looks at these types only.
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

// TestNewsTellOfWhichPartitionsACheckpointSpeaks: of a hundred thousand objects that others send, a member looks
// only at the few whose owner has written in the last second.
func TestNewsTellOfWhichPartitionsACheckpointSpeaks(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	view := []string{"a", "b", "c"}
	says := func(member string, high uint64, takes ...checkpoint.Part) {
		b.Set("ring-default-"+member+"/checkpoint", checkpoint.Checkpoint{Member: member, View: view, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
			Takes: takes, Types: map[string]checkpoint.Entry{"pods.v1": {Low: 5, High: high}}})
	}
	for _, m := range view {
		says(m, 5)
	}
	const objects = 3000
	changed := func(n checkpoint.News, version uint64) (changed, covered int) {
		for i := range objects {
			id := resource.ID(fmt.Sprintf("x/v1/Pod/p%d", i))
			if n.Touches("pods.v1", id, version) {
				changed++
			} else if b.Covers("pods.v1", id, version) {
				covered++
			}
		}
		return changed, covered
	}
	if n, _ := changed(b.News(), 5); n != objects {
		t.Errorf("of %d objects the first checkpoints touch %d", objects, n)
	}
	says("b", 9)
	n := b.News()
	if some, missed := changed(n, 9); some < objects/4 || some > objects/2 || missed > 0 {
		t.Errorf("a checkpoint of one of three touches %d of %d objects, and not %d that are covered", some, objects, missed)
	}
	if some, _ := changed(n, 10); some > 0 {
		t.Errorf("it touches %d objects whose version it does not speak of", some)
	}
	says("b", 9, checkpoint.Part{Type: "pods.v1"})
	if some, missed := changed(b.News(), 9); some != objects || missed > 0 {
		t.Errorf("a checkpoint of who has taken the type touches %d of %d objects", some, objects)
	}
}
