package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

const (
	// streakBase and the limit on requests in flight add up to the row of failures that opens a circuit, without a
	// passing request in between. Where requests fail at random three times in ten, one row in some hundreds is as
	// long.
	streakBase = 3
	// streakTime opens a circuit, too, when no request has passed for so long. It is for receivers that hang, where
	// a row takes minutes.
	streakTime = 30 * time.Second
	// relapse is for receivers that ask for a pause: if one does so this soon after its circuit closed, it was not
	// well. The backoff then goes on where it was.
	relapse = 10 * time.Second
)

// circuit is the health of a receiver in one respect. While it is open it waits longer after each failed probe,
// in the second half of a span that doubles. The span goes from 1 s to 15 s in general. It goes from 5 s to 60 s
// when the credential is refused or the endpoint is wrong, because a person must act, or a minute pass. With the
// general bound, a receiver that comes back after hours is in step within half a minute. Four small requests a
// minute are no burden to a receiver that is down.
type circuit struct {
	// streak and began are for a closed circuit: failures in a row, and when the first of them was begun.
	streak int
	began  time.Time

	open     bool
	kind     wire.Kind
	reason   string
	next     time.Time
	failures int
	probing  bool

	// schedule and level are the backoff. They stay after the circuit has closed, at closed, for a relapse.
	schedule schedule
	level    int
	closed   time.Time
}

// schedule says how a backoff grows.
type schedule struct{ base, top time.Duration }

func scheduleOf(k wire.Kind) schedule {
	switch k {
	case wire.Unauthorized, wire.WrongEndpoint:
		return schedule{5 * time.Second, time.Minute}
	default:
		return schedule{time.Second, 15 * time.Second}
	}
}

// allows tells whether a request may start as far as this circuit is concerned.
func (c *circuit) allows(now time.Time) bool {
	return !c.open || !c.probing && !now.Before(c.next)
}

// trips counts a failure of a closed circuit and tells whether the circuit opens. It opens at once where the
// receiver says that it takes no request, otherwise after a row of failures or a time without a passing request.
func (c *circuit) trips(now time.Time, o wire.Outcome, limit int) bool {
	if c.streak == 0 {
		c.began = now.Add(-o.Took)
	}
	c.streak++
	return concernsWhole(o) && o.Status != 0 || o.Kind == wire.Unauthorized || o.Kind == wire.WrongEndpoint ||
		c.streak >= streakBase+limit || now.Sub(c.began) >= streakTime
}

// trip opens the circuit, or takes the failure of its probe.
func (c *circuit) trip(now time.Time, o wire.Outcome) {
	switch s := scheduleOf(o.Kind); {
	case s != c.schedule, !c.open && (!concernsWhole(o) || now.Sub(c.closed) >= relapse):
		c.schedule, c.level = s, 0
	default:
		c.level++
	}
	if !c.open {
		c.open, c.failures = true, 0
	}
	c.kind, c.reason, c.probing = o.Kind, o.Reason, false
	c.failures++
}

// close takes a request that passes.
func (c *circuit) close(now time.Time) {
	if c.open {
		c.closed = now
	}
	c.open, c.streak, c.next, c.reason, c.failures, c.probing = false, 0, time.Time{}, "", 0, false
}

// backoff returns a random time in the second half of the span.
func (c *circuit) backoff(r *rand.Rand) time.Duration {
	span := c.schedule.base
	for range c.level {
		if span *= 2; span >= c.schedule.top {
			span = c.schedule.top
			break
		}
	}
	return span/2 + upTo(r, span/2)
}

// upTo returns a random time of at most d.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d) + 1))
}
