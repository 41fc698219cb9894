package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

const (
	// retryAfterCap bounds the pause that a receiver can ask for. A proxy that says "in a day" is not believed.
	retryAfterCap = 5 * time.Minute
	// relapse is how soon after closing trouble counts as the same trouble, so that the backoff goes on where it was:
	// a receiver whose embedder is down takes deletes and fails upserts, and would otherwise be tried every second.
	relapse = 10 * time.Second
	// minBytes is the lowest that the limit on bytes falls to. What is refused below it is one object's own matter.
	minBytes = 4 << 10
	// defaultBytes is the limit on bytes where none was given.
	defaultBytes = 1 << 20
	// bytesRecovery is how long the limit on bytes rests before it grows by a quarter. Too early a growth costs one
	// refused body.
	bytesRecovery = 5 * time.Minute
)

// GateOptions configure a [Gate].
type GateOptions struct {
	// MaxInFlight is the most that the limit may grow to. Below 1 means 1.
	MaxInFlight int
	// MaxBytes is the most that the limit on a body's bytes may grow to. Below 4 KiB means 1 MiB.
	MaxBytes int
	// Rand spreads the attempts of several members. Nil means a source seeded by the runtime.
	Rand *rand.Rand
}

// Gate decides when the next request to one receiver may start, and how many may be in flight. It is not safe for
// concurrent use: the caller locks. Times are those of one monotonic clock.
//
// While the gate is open it waits longer after each failed attempt, in the second half of a span that doubles: from 1 s
// to 15 s in general, and from 5 s to 60 s when the credential is refused or the endpoint is wrong, which takes a person
// or a minute. The general bound is what lets a receiver that comes back after hours be in step within half a minute;
// four small requests a minute are no burden to one that is down. A pause that the receiver asks for is kept,
// up to 5 min of it, and stretched by up to a tenth so that members do not come back together.
type Gate struct {
	rand *rand.Rand

	limit, maxInFlight int
	successes          int // since the limit changed

	bytes, maxBytes int
	bytesChanged    time.Time

	open     bool
	since    time.Time // of open, zero when it never changed
	kind     wire.Kind
	reason   string
	next     time.Time
	failures int
	probing  bool
	others   int // in flight beside the probe, all from before the gate opened

	// schedule and level are the backoff, kept beyond closing for a relapse.
	schedule schedule
	level    int
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

// NewGate returns a closed gate with MaxInFlight and MaxBytes as its limits.
func NewGate(opts GateOptions) *Gate {
	g := &Gate{rand: opts.Rand, maxInFlight: max(1, opts.MaxInFlight), maxBytes: opts.MaxBytes}
	if g.rand == nil {
		g.rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	if g.maxBytes < minBytes {
		g.maxBytes = defaultBytes
	}
	g.limit, g.bytes = g.maxInFlight, g.maxBytes
	return g
}

// Allow tells whether a request may start while inFlight others are running. While the gate is open, a true answer
// hands out the one probe: start the request and report its outcome. A probe that was not started is handed out again,
// as inFlight tells, so asking costs nothing. Requests begun before the gate opened do not stand in the probe's way,
// because one that hangs must not keep the receiver's return from being noticed.
func (g *Gate) Allow(now time.Time, inFlight int) bool {
	if !g.open {
		return inFlight < g.limit
	}
	if now.Before(g.next) || (g.probing && inFlight > g.others) {
		return false
	}
	g.probing, g.others = true, inFlight
	return true
}

// Wait is how long until the next attempt may start: 0 while the gate is closed, or when the probe is due or running.
func (g *Gate) Wait(now time.Time) time.Duration {
	if !g.open {
		return 0
	}
	return max(0, g.next.Sub(now))
}

// Report takes the outcome of a request and says what it changed. An outcome that this process caused itself (Own)
// says nothing about the receiver, and while the gate is open neither does that of a request begun before it opened,
// but for a pause asked for and a limit on bytes. Outcome.Took tells when a request began.
func (g *Gate) Report(now time.Time, o wire.Outcome) Transition {
	if g.stale(now, o) {
		g.others = max(0, g.others-1)
	}
	if o.Own || o.Kind == wire.Fenced {
		g.probing = g.probing && g.stale(now, o)
		return Transition{}
	}
	if o.Kind == wire.TooLarge {
		g.lowerBytes(now, o.Bytes)
	}
	if !o.Kind.ReceiverUp() || o.RetryAfter > 0 {
		return g.trouble(now, o)
	}
	if g.stale(now, o) {
		return Transition{}
	}
	if o.Kind == wire.Delivered {
		g.grow(now)
	}
	return g.close(now)
}

// ReportBodyFault takes the outcome of a request that failed by the fault of its own body, as the caller found out by
// bisecting: it proves the receiver up.
func (g *Gate) ReportBodyFault(now time.Time) Transition { return g.close(now) }

// stale tells whether the outcome is that of a request begun before the gate opened.
func (g *Gate) stale(now time.Time, o wire.Outcome) bool {
	return g.open && now.Add(-o.Took).Before(g.since)
}

func (g *Gate) trouble(now time.Time, o wire.Outcome) Transition {
	pause := min(o.RetryAfter, retryAfterCap)
	pause += g.upTo(pause / 10)
	if g.open && (g.stale(now, o) || (!g.probing && now.Before(g.next))) {
		if at := now.Add(pause); at.After(g.next) {
			g.next = at
		}
		return Transition{}
	}
	switch s := scheduleOf(o.Kind); {
	case s != g.schedule, !g.open && now.Sub(g.since) >= relapse:
		g.schedule, g.level = s, 0
	default:
		g.level++
	}
	if o.Kind != wire.Unauthorized && o.Kind != wire.WrongEndpoint {
		g.limit, g.successes = max(1, g.limit/2), 0
	}
	t := Transition{Edge: Opened, Kind: o.Kind, Reason: o.Reason}
	if g.open {
		t.Edge = NoEdge
		if g.kind != o.Kind {
			t.Edge = Changed
		}
	} else {
		g.open, g.since, g.failures = true, now, 0
	}
	g.kind, g.reason, g.probing = o.Kind, o.Reason, false
	g.failures++
	g.next = now.Add(max(g.backoff(), pause))
	if t.Edge == NoEdge {
		return Transition{}
	}
	return t
}

// backoff is a random time in the second half of the span.
func (g *Gate) backoff() time.Duration {
	span := g.schedule.base
	for range g.level {
		if span *= 2; span >= g.schedule.top {
			span = g.schedule.top
			break
		}
	}
	return span/2 + g.upTo(span/2)
}

func (g *Gate) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(g.rand.Int64N(int64(d) + 1))
}

func (g *Gate) close(now time.Time) Transition {
	if !g.open {
		return Transition{}
	}
	t := Transition{Edge: Closed, Kind: g.kind, Reason: g.reason, After: now.Sub(g.since)}
	g.open, g.since, g.next, g.reason, g.failures, g.probing = false, now, time.Time{}, "", 0, false
	return t
}

// grow takes one success: as many of them as the limit make a round, and a round raises the limit by one.
func (g *Gate) grow(now time.Time) {
	if g.successes++; g.successes >= g.limit {
		g.limit, g.successes = min(g.limit+1, g.maxInFlight), 0
	}
	if g.bytes < g.maxBytes && now.Sub(g.bytesChanged) >= bytesRecovery {
		g.bytes, g.bytesChanged = min(g.bytes+g.bytes/4, g.maxBytes), now
	}
}

// lowerBytes takes a body's length that was refused, 0 when it is not known. Several bodies of one length refused
// together lower the limit once.
func (g *Gate) lowerBytes(now time.Time, refused int) {
	if refused <= 0 {
		refused = g.bytes
	}
	g.bytes, g.bytesChanged = min(g.bytes, max(minBytes, refused/2)), now
}

// Retry lets the next probe go at once: there is reason to think that it will pass, such as a new credential.
func (g *Gate) Retry(now time.Time) {
	if g.open {
		g.next = now
	}
}

// SetMaxInFlight changes the most that the limit may grow to, as when members come and go. Below 1 means 1. A gate
// that is at its limit follows at once.
func (g *Gate) SetMaxInFlight(n int) {
	n = max(1, n)
	if g.limit == g.maxInFlight || g.limit > n {
		g.limit, g.successes = n, 0
	}
	g.maxInFlight = n
}

// MaxBytes is the length that a body may have now.
func (g *Gate) MaxBytes() int { return g.bytes }

// State describes the gate.
func (g *Gate) State() State {
	s := State{Open: g.open, Since: g.since, Limit: g.limit, MaxBytes: g.bytes}
	if g.open {
		s.Kind, s.Reason, s.Next, s.Failures = g.kind, g.reason, g.next, g.failures
	}
	return s
}
