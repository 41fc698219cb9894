package checkpoint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

func TestACheckpointSpeaksOfWhatItsMemberTakesAndNotOfWhatItYields(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
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

// TestAPartInACheckpointIsOfTheWholeType: a member that reads a type by namespace understands a range of namespaces
// in Leases and checkpoints.
func TestAPartInACheckpointIsOfTheWholeType(t *testing.T) {
	b := checkpoint.NewLedger("f", ring.DefaultFormat())
	taker, yields := word("a", 100), word("b", 90)
	taker.View, yields.View = []string{"a", "b"}, []string{"a", "b"}
	taker.Takes = []checkpoint.Part{{Type: "pods.v1", From: "m", Until: "m-"}}
	yields.Yields = taker.Takes
	for _, name := range []string{"pods.v1@m", "pods.v1@n"} {
		taker.Types[name], yields.Types[name] = checkpoint.Entry{Low: 100, High: 100}, checkpoint.Entry{Low: 100, High: 100}
	}
	b.Set("b", yields)
	covered := map[string]int{}
	count := func(who string) {
		for i := range 100 {
			for _, in := range []string{"m", "n"} {
				if b.Covers("pods.v1@"+in, resource.ID(in+string(id(i)[1:])), 100) {
					covered[who+" "+in]++
				}
			}
		}
	}
	count("b")
	b.Delete("b")
	b.Set("a", taker)
	count("a")
	if covered["b m"] != 0 || covered["a m"] != 100 || covered["a n"]+covered["b n"] != 100 || covered["a n"] == 0 {
		t.Errorf("covered by the word of a member, in a namespace: %v", covered)
	}
}

func decodeOf(c checkpoint.Checkpoint) (checkpoint.Checkpoint, error) {
	text, err := c.Encode()
	if err != nil {
		return checkpoint.Checkpoint{}, err
	}
	return checkpoint.Decode(text)
}
