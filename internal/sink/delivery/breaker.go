package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

const (
	// retryAfterCap bounds the pause that a receiver can ask for. A proxy that says "in a day" is not believed.
	retryAfterCap = 5 * time.Minute
	// fencedPause keeps a member behind its fence from building bodies that it may not send.
	fencedPause = 100 * time.Millisecond
	// minBytes is the lowest value of the limit on bytes. A refusal of a body below it is the fault of one object.
	minBytes = 4 << 10
	// defaultBytes is the limit on bytes where none is given.
	defaultBytes = 1 << 20
	// bytesRecovery is how long the limit on bytes rests before it grows by a quarter. If it grows too early, one
	// refused body is the price.
	bytesRecovery = 5 * time.Minute
)

// Lane tells what a request carries. A receiver whose embedder is down takes every deletion and no upsert.
type Lane uint8

const (
	// Upserts is the lane of requests that write.
	Upserts Lane = iota
	// Deletes is the lane of requests that delete.
	Deletes

	numLanes
)

// BreakerOptions configure a [Breaker].
type BreakerOptions struct {
	// MaxInFlight is the highest value of the limit on requests in flight. Below 1 means 1.
	MaxInFlight int
	// MaxBytes is the highest value of the limit on a body's bytes. Below 4 KiB means 1 MiB.
	MaxBytes int
	// Rand spreads the attempts of several members. Nil means a source seeded by the runtime.
	Rand *rand.Rand
}

// Breaker decides when the next request to one receiver may start, and how many may be in flight. It is not safe for
// concurrent use: the caller locks. Times are those of one monotonic clock.
//
// It consists of three circuits: one for each lane, and one for faults of the receiver as a whole. Such faults
// are a refused connection or credential, a wrong endpoint, and a pause that the receiver asks for.
type Breaker struct {
	rand *rand.Rand

	whole circuit
	lanes [numLanes]circuit

	inFlight, probes   int
	limit, maxInFlight int
	successes          int // since the limit changed

	bytes, maxBytes int
	bytesChanged    time.Time

	since time.Time // when the whole last opened or closed
	hold  time.Time // nothing starts before
}

// Attempt is a request that was begun. The caller gives it to [Breaker.Report] when the request has ended.
type Attempt struct {
	lane Lane
	// probesWhole and probesLane tell which open circuits the request tries.
	probesWhole, probesLane bool
}

// NewBreaker returns a closed breaker with MaxInFlight and MaxBytes as its limits.
func NewBreaker(opts BreakerOptions) *Breaker {
	b := &Breaker{rand: opts.Rand, maxInFlight: max(1, opts.MaxInFlight), maxBytes: opts.MaxBytes}
	if b.rand == nil {
		b.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if b.maxBytes < minBytes {
		b.maxBytes = defaultBytes
	}
	b.limit, b.bytes = b.maxInFlight, b.maxBytes
	return b
}

// Allow tells whether a request in a lane may start at this moment.
func (b *Breaker) Allow(now time.Time, lane Lane) bool {
	if now.Before(b.hold) || !b.whole.allows(now) || !b.lanes[lane].allows(now) {
		return false
	}
	if !b.Closed(lane) {
		return b.inFlight < b.maxInFlight // An older request that hangs must not keep the probe back.
	}
	return b.inFlight-b.probes < b.limit && b.inFlight < b.maxInFlight
}

// Closed tells whether requests in a lane may start without being probes.
func (b *Breaker) Closed(lane Lane) bool { return !b.whole.open && !b.lanes[lane].open }

// Begin notes that a request which [Breaker.Allow] allows is begun.
func (b *Breaker) Begin(lane Lane) Attempt {
	a := Attempt{lane: lane, probesWhole: b.whole.open, probesLane: b.lanes[lane].open}
	b.whole.probing = b.whole.probing || a.probesWhole
	b.lanes[lane].probing = b.lanes[lane].probing || a.probesLane
	b.inFlight++
	if a.Probe() {
		b.probes++
	}
	return a
}

// Probe tells whether the request was begun while a circuit of its own was open.
func (a Attempt) Probe() bool { return a.probesWhole || a.probesLane }

// Wait returns the time until the next attempt in a lane may start. It returns 0 when no time has to pass, though
// the end of another request may have to come first.
func (b *Breaker) Wait(now time.Time, lane Lane) time.Duration {
	at := b.hold
	for _, c := range []*circuit{&b.whole, &b.lanes[lane]} {
		if c.open && c.next.After(at) {
			at = c.next
		}
	}
	return max(0, at.Sub(now))
}

// Report takes the outcome of an attempt and says what it changed. An outcome that this process caused itself
// (Own) says nothing about the receiver. Of a request begun before its circuit opened, only a pause and a limit
// on bytes count.
func (b *Breaker) Report(now time.Time, a Attempt, o wire.Outcome) Transition {
	b.end(a)
	before := b.State()
	switch pause := b.pause(o); {
	case o.Kind == wire.Fenced:
		b.hold = now.Add(fencedPause)
	case o.Own:
	case pause > 0:
		b.fail(now, &b.whole, o, pause, a.probesWhole)
	case o.Kind.ReceiverUp():
		b.pass(now, a, o)
	case a.probesWhole, concernsWhole(o):
		b.fail(now, &b.whole, o, 0, a.probesWhole)
	default:
		b.fail(now, &b.lanes[a.lane], o, 0, a.probesLane)
	}
	if o.Kind == wire.TooLarge {
		b.lowerBytes(now, o.Bytes)
	}
	return b.transition(now, before)
}

func (b *Breaker) end(a Attempt) {
	b.inFlight--
	if a.Probe() {
		b.probes--
	}
	if a.probesWhole {
		b.whole.probing = false
	}
	if a.probesLane {
		b.lanes[a.lane].probing = false
	}
}

// pause returns the pause that the receiver asks for, longer by up to a tenth so that members do not come back
// together.
func (b *Breaker) pause(o wire.Outcome) time.Duration {
	pause := min(o.RetryAfter, retryAfterCap)
	return pause + upTo(b.rand, pause/10)
}

// concernsWhole tells whether a failure is the receiver's, whatever the body was.
func concernsWhole(o wire.Outcome) bool {
	return o.Kind == wire.Unauthorized || o.Kind == wire.WrongEndpoint || o.Kind == wire.Retry
}

// fail counts a failure of a circuit, and opens the circuit when the failure trips it. A pause opens it at once.
func (b *Breaker) fail(now time.Time, c *circuit, o wire.Outcome, pause time.Duration, probe bool) {
	if c.open && !probe {
		if at := now.Add(pause); pause > 0 && at.After(c.next) {
			c.next = at
		}
		return
	}
	if !c.open && pause == 0 && !c.trips(now, o, b.limit) {
		return
	}
	if o.Kind != wire.Unauthorized && o.Kind != wire.WrongEndpoint {
		b.limit, b.successes = max(1, b.limit/2), 0
	}
	c.trip(now, o)
	c.next = now.Add(max(c.backoff(b.rand), pause))
}

// pass takes a request that the receiver at least read and judged: the request closes the circuits that it has
// tried.
func (b *Breaker) pass(now time.Time, a Attempt, o wire.Outcome) {
	stale := b.whole.open && !a.probesWhole || b.lanes[a.lane].open && !a.probesLane
	if stale {
		return
	}
	b.whole.close(now)
	b.lanes[a.lane].close(now)
	if o.Kind == wire.Delivered {
		b.grow(now)
	}
}

// grow takes one success. A round has as many successes as the limit, and raises the limit by one.
func (b *Breaker) grow(now time.Time) {
	if b.successes++; b.successes >= b.limit {
		b.limit, b.successes = min(b.limit+1, b.maxInFlight), 0
	}
	if b.bytes < b.maxBytes && now.Sub(b.bytesChanged) >= bytesRecovery {
		b.bytes, b.bytesChanged = min(b.bytes+b.bytes/4, b.maxBytes), now
	}
}

// lowerBytes takes the length of a refused body, 0 when it is not known. Several bodies of one length that are
// refused together lower the limit once.
func (b *Breaker) lowerBytes(now time.Time, refused int) {
	if refused <= 0 {
		refused = b.bytes
	}
	b.bytes, b.bytesChanged = min(b.bytes, max(minBytes, refused/2)), now
}

// Retry lets the next probe go at once: there is reason to think that it will pass, such as a new credential.
func (b *Breaker) Retry(now time.Time) {
	for _, c := range b.circuits() {
		if c.open {
			c.next = now
		}
	}
}

// SetMaxInFlight changes the highest value of the limit, when members come and go. Below 1 means 1. A breaker
// that is at its limit follows at once.
func (b *Breaker) SetMaxInFlight(n int) {
	n = max(1, n)
	if b.limit == b.maxInFlight || b.limit > n {
		b.limit, b.successes = n, 0
	}
	b.maxInFlight = n
}

// MaxBytes returns the length that a body may have at this moment.
func (b *Breaker) MaxBytes() int { return b.bytes }

func (b *Breaker) circuits() []*circuit {
	return []*circuit{&b.whole, &b.lanes[Upserts], &b.lanes[Deletes]}
}

// State describes the breaker by the first of its circuits that is open.
func (b *Breaker) State() State {
	s := State{Since: b.since, Limit: b.limit, MaxBytes: b.bytes}
	for _, c := range b.circuits() {
		if c.open {
			s.Open, s.Kind, s.Reason, s.Next, s.Failures = true, c.kind, c.reason, c.next, c.failures
			break
		}
	}
	return s
}

// transition compares the state with that before a report.
func (b *Breaker) transition(now time.Time, before State) Transition {
	after := b.State()
	switch {
	case !before.Open && after.Open:
		b.since = now
		return Transition{Edge: Opened, Kind: after.Kind, Reason: after.Reason}
	case before.Open && !after.Open:
		b.since = now
		return Transition{Edge: Closed, Kind: before.Kind, Reason: before.Reason, After: now.Sub(before.Since)}
	case after.Open && before.Kind != after.Kind:
		return Transition{Edge: Changed, Kind: after.Kind, Reason: after.Reason}
	default:
		return Transition{}
	}
}
