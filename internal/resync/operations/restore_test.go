package operations_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
)

// TestAfterARestoreWritesStartFromWhatIsThere has the ConfigMap go back in time under a watch that does not show
// it. A write that starts from the version known before is refused, and must not be tried for ever.
func TestAfterARestoreWritesStartFromWhatIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, 5, "a")
		first, err := f.engines["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: "before"})
		if err != nil {
			t.Fatal(err)
		}
		f.wait("a", first.ID)
		restore := f.server.Backup()
		lost, err := f.engines["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: "lost"})
		if err != nil {
			t.Fatal(err)
		}
		f.wait("a", lost.ID)
		synctest.Wait() // A restore ends all watches: no event of the lost time comes after it.

		restore()
		before := f.server.Written()
		after, err := f.engines["a"].Start(t.Context(), operations.Request{Types: f.catalog.Types(), Label: "after"})
		if err != nil {
			t.Fatal(err)
		}
		if end := f.wait("a", after.ID); end.TypesDone != 5 {
			t.Errorf("it ends as %+v", end)
		}
		time.Sleep(time.Minute)
		if n := f.server.Written() - before; n > 40 {
			t.Errorf("%d attempts to write in a minute with one resync, want some twenty", n)
		}
	})
}
