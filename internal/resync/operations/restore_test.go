package operations_test

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// TestAfterARestoreWritesStartFromWhatIsThere has the ConfigMap go back in time under a watch that does not show
// it. A write that starts from the version known before is refused, and must not be tried for ever.
func TestAfterARestoreWritesStartFromWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t, 5, "a")
		first, err := f.nodes["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: "before"})
		if err != nil {
			t.Fatal(err)
		}
		f.wait("a", first.ID)
		f.server.mu.Lock()
		backup, version := make(map[string]*corev1.ConfigMap), f.server.version
		for name, m := range f.server.objects {
			backup[name] = m.DeepCopy()
		}
		f.server.mu.Unlock()
		lost, err := f.nodes["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: "lost"})
		if err != nil {
			t.Fatal(err)
		}
		f.wait("a", lost.ID)
		synctest.Wait() // A restore ends all watches: no event of the lost time comes after it.

		f.server.mu.Lock()
		f.server.objects, f.server.version = backup, version
		before := f.server.writes["a"]
		f.server.mu.Unlock()
		after, err := f.nodes["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: "after"})
		if err != nil {
			t.Fatal(err)
		}
		if end := f.wait("a", after.ID); end.TypesDone != 5 {
			t.Errorf("it ends as %+v", end)
		}
		time.Sleep(time.Minute)
		f.server.mu.Lock()
		defer f.server.mu.Unlock()
		if n := f.server.writes["a"] - before; n > 40 {
			t.Errorf("%d attempts to write in a minute with one resync, want some twenty", n)
		}
	})
}
