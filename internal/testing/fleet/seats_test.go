package fleet_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestSeats_MoreStoriesThanSeats_TheLongestIsNext: two of six sit at once, and the others come by their length.
func TestSeats_MoreStoriesThanSeats_TheLongestIsNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seats := fleet.NewSeats(2)
		var mu sync.Mutex
		var order []time.Duration
		sitting, most := 0, 0
		var all sync.WaitGroup
		for _, length := range []time.Duration{10, 20, 5, 60, 30, 40} {
			all.Go(func() {
				seats.Take(length * time.Second)
				defer seats.Give()
				mu.Lock()
				order = append(order, length)
				sitting++
				most = max(most, sitting)
				mu.Unlock()
				time.Sleep(length * time.Second)
				mu.Lock()
				sitting--
				mu.Unlock()
			})
			synctest.Wait() // the order is decided
		}
		all.Wait()
		if want := []time.Duration{10, 20, 60, 40, 30, 5}; !slices.Equal(order, want) {
			t.Errorf("the stories sat down in the order %v, want %v", order, want)
		}
		if most != 2 {
			t.Errorf("%d sat at once, want 2", most)
		}
	})
}
