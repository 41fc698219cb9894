package ownership

import (
	"errors"
	"fmt"
	"time"
)

// Timings are the protocol's durations. All members of a ring should have the same.
type Timings struct {
	// LeaseDuration is the time for which a Lease must be seen unchanged before its member may be marked dead.
	LeaseDuration time.Duration
	// RenewDeadline is the time for which a member may send after its last successful renewal began.
	RenewDeadline time.Duration
	// RenewInterval is the time from one renewal to the next.
	RenewInterval time.Duration
	// Stability is the time for which the set of members must have kept still before a new view is worked towards.
	// So members that come or go together cost one handoff and not one each. 0 stands for at once.
	Stability time.Duration
	// MaxStability bounds Stability while members keep coming and going.
	MaxStability time.Duration
	// Retention is the time for which the Lease of a member that is gone is kept before it is deleted.
	Retention time.Duration
}

// DefaultTimings are 15 s, renewed every 5 s, fenced after 10 s. Stability costs a fifth of the second that a handoff
// may take; pods that a scale-up starts together publish their Leases within it.
func DefaultTimings() Timings {
	return Timings{
		LeaseDuration: 15 * time.Second,
		RenewDeadline: 10 * time.Second,
		RenewInterval: 5 * time.Second,
		Stability:     200 * time.Millisecond,
		MaxStability:  500 * time.Millisecond,
		Retention:     5 * time.Minute,
	}
}

// Validate names every fault of the timings, and returns nil when they are sound. The protocol is safe as long as
// no member's clock runs faster than another's by the factor LeaseDuration / RenewDeadline. The least accepted
// factor is 1.2; real clocks differ by a ten-thousandth.
func (t Timings) Validate() error {
	var errs []error
	if t.RenewInterval <= 0 {
		errs = append(errs, fmt.Errorf("lease renew interval is %v, want more than 0, such as 5s", t.RenewInterval))
	}
	if t.RenewDeadline < 2*t.RenewInterval {
		errs = append(errs, fmt.Errorf("lease renew deadline is %v, want at least twice the renew interval of %v, such as 10s", t.RenewDeadline, t.RenewInterval))
	}
	if t.LeaseDuration < t.RenewDeadline+t.RenewDeadline/5 {
		errs = append(errs, fmt.Errorf("lease duration is %v, want at least 1.2 times the renew deadline of %v, such as 15s", t.LeaseDuration, t.RenewDeadline))
	}
	if t.Stability < 0 || t.MaxStability < t.Stability {
		errs = append(errs, fmt.Errorf("stability window is %v and its bound %v, want 0 or more and a bound not below the window", t.Stability, t.MaxStability))
	}
	if t.Retention < 2*t.LeaseDuration {
		errs = append(errs, fmt.Errorf("retention of leases is %v, want at least twice the lease duration of %v", t.Retention, t.LeaseDuration))
	}
	return errors.Join(errs...)
}

// retry is the pause between a failed write and the next one.
func (t Timings) retry() time.Duration { return t.RenewInterval / 5 }
