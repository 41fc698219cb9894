//go:build e2e

package e2e

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// memory follows how much memory processes have.
type memory struct {
	replicas []*fleet.Replica
	before   []int64
	end      func()

	highest []int64 // at the end of following
}

// watchMemory begins to follow, until check or the end of the test.
func watchMemory(t *testing.T, replicas ...*fleet.Replica) *memory {
	t.Helper()
	stop := make(chan struct{})
	var following sync.WaitGroup
	m := &memory{replicas: replicas, highest: make([]int64, len(replicas))}
	m.end = sync.OnceFunc(func() { close(stop); following.Wait() })
	t.Cleanup(m.end)
	for _, p := range replicas {
		now, _ := p.Resident()
		m.before = append(m.before, now)
	}
	following.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			for i, p := range m.replicas {
				now, _ := p.Resident()
				m.highest[i] = max(m.highest[i], now)
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	})
	return m
}

// check logs how much it was. In the full measure, it must not have been more than 1.3 times the earlier figure.
func (m *memory) check(t *testing.T) {
	t.Helper()
	m.end()
	for i, p := range m.replicas {
		t.Logf("%s: %.1f MiB before, %.1f MiB at most, %.2f times as much", p.Name, float64(m.before[i])/(1<<20), float64(m.highest[i])/(1<<20),
			float64(m.highest[i])/float64(m.before[i]))
		if os.Getenv("E2E_LONG") != "" && m.highest[i]*10 > m.before[i]*13 {
			t.Errorf("%s took more than 1.3 times the memory that it took before", p.Name)
		}
	}
}
