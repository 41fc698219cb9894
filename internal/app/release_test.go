package app_test

import (
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
)

// TestReleaseBy_DeletionsWait_TakesTheTimeThatIsLeft holds when deletions wait: an API server that does not answer
// may come back.
func TestReleaseBy_DeletionsWait_TakesTheTimeThatIsLeft(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		left  time.Duration
		waits bool
		want  time.Duration
	}{{25 * time.Second, true, 25 * time.Second}, {25 * time.Second, false, 5 * time.Second}, {time.Second, true, 5 * time.Second}, {-time.Second, true, 5 * time.Second}} {
		if got := app.ReleaseBy(now, now.Add(tt.left), tt.waits).Sub(now); got != tt.want {
			t.Errorf("%v are left, deletions wait: %v; it may take %v, want %v", tt.left, tt.waits, got, tt.want)
		}
	}
}
