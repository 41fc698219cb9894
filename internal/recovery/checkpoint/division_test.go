package checkpoint_test

import (
	"slices"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// TestACheckpointOfAnotherDivision is understood: one of a whole type by a member that reads its slices, and the
// reverse. An entry of one namespace says nothing of another.
func TestACheckpointOfAnotherDivision(t *testing.T) {
	const inA, inB = resource.ID("a/v1/Pod/x"), resource.ID("b/v1/Pod/x")
	ledger := func(types map[string]checkpoint.Entry) *checkpoint.Ledger {
		b := checkpoint.NewLedger("f", ring.DefaultFormat())
		c := word("m", 0)
		c.View, c.Types = []string{"m"}, types
		b.Set("m/all", c)
		b.Set("m/checkpoint", c)
		return b
	}
	entry := func(version uint64, except ...resource.ID) checkpoint.Entry {
		e := checkpoint.Entry{Low: version, High: version, Event: version}
		for _, id := range except {
			e.Except = append(e.Except, checkpoint.Short(id))
		}
		return e
	}

	t.Run("whole, read by namespace", func(t *testing.T) {
		b := ledger(map[string]checkpoint.Entry{"pods.v1": entry(100, inB)})
		if !b.Covers("pods.v1@a", inA, 100) || b.Covers("pods.v1@a", inA, 101) || b.Covers("pods.v1@b", inB, 100) {
			t.Error("slices are not covered as the whole is")
		}
		if got := b.Acknowledged("pods.v1@a", inA); got != 100 {
			t.Errorf("acknowledged up to %d", got)
		}
		if got := b.Bound("pods.v1@a"); got != 100 {
			t.Errorf("bound %d", got)
		}
		if got := b.Past(nil).Of("pods.v1@a"); !slices.Equal(got, []uint64{100}) {
			t.Errorf("versions of the past %v", got)
		}
		if events := b.Events("other"); events.Of("pods.v1@a") != 100 || events.Of("pods.v1") != 100 {
			t.Errorf("events %v", events)
		}
		if b.Covers("jobs.v1.batch@a", inA, 1) || len(b.Past(nil).Of("jobs.v1.batch@a")) > 0 {
			t.Error("another type is covered")
		}
	})
	t.Run("by namespace, read as a whole", func(t *testing.T) {
		b := ledger(map[string]checkpoint.Entry{"pods.v1@a": entry(100), "pods.v1@b": entry(200)})
		if !b.Covers("pods.v1", inA, 100) || b.Covers("pods.v1", inA, 200) || !b.Covers("pods.v1", inB, 200) || b.Covers("pods.v1", "c/v1/Pod/x", 1) {
			t.Error("the whole is not covered as its slices are")
		}
		if got := b.Bound("pods.v1"); got != 0 {
			t.Errorf("bound %d: nobody has spoken of all namespaces", got)
		}
		if got := b.Past(nil).Of("pods.v1"); !slices.Equal(got, []uint64{100, 200}) {
			t.Errorf("versions of the past %v", got)
		}
		if got := b.Events("other").Of("pods.v1"); got != 200 {
			t.Errorf("event %d", got)
		}
	})
	t.Run("by namespace, read by namespace", func(t *testing.T) {
		b := ledger(map[string]checkpoint.Entry{"pods.v1@a": entry(100), "pods.v1@b": entry(200)})
		if b.Covers("pods.v1@a", inA, 200) || !b.Covers("pods.v1@b", inB, 200) {
			t.Error("a slice is covered by the word on another")
		}
		if events := b.Events("other"); events.Of("pods.v1@a") != 100 || events.Of("pods.v1@c") != 0 {
			t.Errorf("events %v", events)
		}
		if news := b.News(); !news.Of("pods.v1@a", false) || !news.Of("pods.v1", false) {
			t.Error("what is new of a slice is no news of the whole")
		}
	})
}
