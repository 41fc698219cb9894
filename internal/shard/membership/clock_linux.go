package membership

import (
	"time"

	"golang.org/x/sys/unix"
)

// newClock returns a clock that goes on while the machine is suspended. Go's own monotonic time stands still
// then, and a member would wake up in the belief that its Lease is fresh.
func newClock() func() time.Duration {
	start := time.Now()
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return func() time.Duration { return time.Since(start) }
	}
	return func() time.Duration {
		var ts unix.Timespec
		// It worked above, and there is no way for it to fail later.
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
		return time.Duration(ts.Nano())
	}
}
