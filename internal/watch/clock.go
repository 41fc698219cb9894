package watch

import (
	"context"
	"time"

	"k8s.io/utils/clock"
)

// stopClock is the real clock, but its waits end early when ctx is done. A Reflector that backs off from a refused
// connection waits without looking at its context, for up to half a minute, and would hold up the end of the process.
type stopClock struct {
	clock.RealClock
	ctx context.Context
}

// After returns a channel that receives once, after d or when the context is done.
func (c stopClock) After(d time.Duration) <-chan time.Time {
	ctx, cancel := context.WithTimeout(c.ctx, d)
	ch := make(chan time.Time, 1)
	context.AfterFunc(ctx, func() {
		cancel()
		ch <- time.Now()
	})
	return ch
}
