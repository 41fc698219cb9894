package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

const (
	// streakBase and the limit on requests in flight are how many failures in a row, without a request that passes in
	// between, open a circuit: of requests that fail at random three times in ten, one row in some hundreds is as long.
	streakBase = 3
	// streakTime opens it as well: so long has nothing passed. It is for receivers that hang, where a row
	// takes minutes.
	streakTime = 30 * time.Second
	// relapse is how soon after closing a receiver that asks to be left alone counts as not having been well,
	// so that the backoff goes on where it was.
	relapse = 10 * time.Second
)

// circuit is the health of a receiver in one respect. While it is open it waits longer after each probe that failed, in
// the second half of a span that doubles: from 1 s to 15 s in general, and from 5 s to 60 s when the credential is
// refused or the endpoint is wrong, which takes a person or a minute. The general bound is what lets a receiver that
// comes back after hours be in step within half a minute; four small requests a minute are no burden to one
// that is down.
type circuit struct {
	// While it is closed: failures in a row, and when the first of them was begun.
	streak int
	began  time.Time

	open     bool
	kind     wire.Kind
	reason   string
	next     time.Time
	failures int
	probing  bool

	// schedule and level are the backoff, kept beyond closing, at closed, for a relapse.
	schedule schedule
	level    int
	closed   time.Time
}

// schedule is how a backoff grows.
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

// trips counts a failure of a closed circuit and tells whether it is to open: at once where the receiver says that it
// takes nothing, otherwise when nothing passes any more.
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

// backoff is a random time in the second half of the span.
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

// upTo is a random time of at most d.
func upTo(r *rand.Rand, d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(r.Int64N(int64(d) + 1))
}
