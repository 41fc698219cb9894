package sim

import (
	"slices"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

// TestCalled_EarlierTakeIsHeldUpNoMore_GrantedOneStays has three takes in a row that overlap. The third is granted
// beside the first. When the first is given back, the second has to wait for the third.
func TestCalled_EarlierTakeIsHeldUpNoMore_GrantedOneStays(t *testing.T) {
	m := &member{name: "a", live: true, joined: true}
	w := &World{fleet: fleet{members: map[string]*member{"a": m}}}
	ask := func(from, until string) *take {
		k := &take{w: w, m: m, parts: []handoff.Span{{Type: resource.Type{Resource: "pods"}, From: from, Until: until}}, lost: make(chan struct{})}
		w.takes = append(w.takes, k)
		return k
	}
	first, second, third := ask("a", "c"), ask("b", "e"), ask("d", "f")
	for _, want := range [][]*take{{first, third}, {third}, {second}} {
		if w.agreed = w.called(); !slices.Equal(w.agreed.takes, want) {
			t.Fatalf("granted are %v, want %v", w.agreed.takes, want)
		}
		want[0].Give()
	}
}
