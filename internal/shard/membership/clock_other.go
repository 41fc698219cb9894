//go:build !linux

package membership

import "time"

// newClock returns Go's monotonic time.
func newClock() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}
