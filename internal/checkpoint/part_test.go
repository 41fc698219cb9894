package checkpoint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
)

func TestACheckpointSpeaksOfWhatItsMemberTakesAndNotOfWhatItYields(t *testing.T) {
	b := checkpoint.NewBook("f", ring.DefaultFormat())
	taker := word("a", 100)
	taker.View = []string{"a", "b"}
	taker.Takes = []checkpoint.Part{{Type: "pods.v1", From: "m", Until: "n"}}
	taker.Types["pods.v1"] = checkpoint.Entry{Low: 100, High: 100}
	yields := word("b", 90)
	yields.View, yields.Yields = taker.View, taker.Takes
	yields.Types["pods.v1"] = checkpoint.Entry{Low: 90, High: 90}
	b.Set("a", taker)
	b.Set("b", yields)
	read, err := decodeOf(taker)
	if err != nil || !cmp.Equal(taker.Takes, read.Takes) {
		t.Fatalf("takes are read as %v: %v", read.Takes, err)
	}
	owners := map[bool]int{}
	for i := range 100 {
		name := id(i)
		within := resource.ID("m" + string(name[1:]))
		if !b.Covers("pods.v1", within, 100) {
			t.Errorf("%s, of what is taken, is not covered by the taker's word", within)
		}
		ours := b.Covers("pods.v1", name, 100)
		owners[ours]++
		if !ours && !b.Covers("pods.v1", name, 90) {
			t.Errorf("%s, of what nobody takes, is not covered by its owner's word", name)
		}
	}
	if owners[true] == 0 || owners[false] == 0 {
		t.Errorf("of what nobody takes the owners are %v, want both", owners)
	}
	b.Delete("a")
	for i := range 100 {
		if within := resource.ID("m" + string(id(i)[1:])); b.Covers("pods.v1", within, 1) {
			t.Errorf("%s is covered by the word of a member that yields it", within)
		}
	}
}

func decodeOf(c checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	text, err := c.Encode()
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	return checkpoint.Decode(text)
}
