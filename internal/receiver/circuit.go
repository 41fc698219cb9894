package receiver

import (
	"sync"
	"time"
)

const (
	// circuitFailures in a row, across requests, open dot-ai's circuit in front of its embedder.
	circuitFailures = 3
	// circuitOpen is for how long the circuit stays open; the first call after that is a trial.
	circuitOpen = 30 * time.Second
)

// circuit is dot-ai's circuit breaker.
//
//	closed ──3 failures in a row──▶ open ──30 s──▶ trial ──success──▶ closed
//	                                 ▲                └───failure───▶ open
type circuit struct {
	mu       sync.Mutex
	failures int
	until    time.Time
}

// remaining is how long the circuit stays open, 0 when it lets calls through.
func (c *circuit) remaining(now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.until.Sub(now))
}

// report tells the circuit how a call ended.
func (c *circuit) report(ok bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok {
		c.failures = 0
		return
	}
	if c.failures++; c.failures >= circuitFailures {
		c.until = now.Add(circuitOpen)
	}
}

func (c *circuit) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failures, c.until = 0, time.Time{}
}
