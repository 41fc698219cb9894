package delivery

import (
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
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
type Gate struct{}

// NewGate returns a closed gate with MaxInFlight and MaxBytes as its limits.
func NewGate(opts GateOptions) *Gate { return &Gate{} }

// Allow tells whether a request may start while inFlight others are running. While the gate is open, a true answer
// hands out the one probe: ask last, start the request, report its outcome. (A probe that was handed out and not
// started is forgotten as soon as Allow is asked with nothing in flight.)
func (g *Gate) Allow(now time.Time, inFlight int) bool { return true }

// Wait is how long until the next attempt may start: 0 while the gate is closed, or when the probe is due or running.
func (g *Gate) Wait(now time.Time) time.Duration { return 0 }

// Report takes the outcome of a request and says what it changed. Outcomes that this process caused itself (Own) and
// outcomes of trouble in requests begun before the gate opened change nothing.
func (g *Gate) Report(now time.Time, o wire.Outcome) Transition { return Transition{} }

// ReportBodyFault takes the outcome of a request that failed by the fault of its own body, as the caller found out by
// bisecting: it proves the receiver up.
func (g *Gate) ReportBodyFault(now time.Time) Transition { return Transition{} }

// SetMaxInFlight changes the most that the limit may grow to, as when members come and go. Below 1 means 1.
func (g *Gate) SetMaxInFlight(n int) {}

// MaxBytes is the length that a body may have now.
func (g *Gate) MaxBytes() int { return 0 }

// State describes the gate.
func (g *Gate) State() State { return State{} }

// State is the health of a receiver as a gate sees it.
type State struct {
	// Open tells that the receiver is in trouble and gets one request at a time at most.
	Open bool
	// Since is when Open last changed, zero when it never did.
	Since time.Time
	// Kind is the latest trouble. It has no meaning while the gate is closed.
	Kind wire.Kind
	// Reason is the latest trouble in words, empty while the gate is closed.
	Reason string
	// Next is when the next attempt may start, zero while the gate is closed.
	Next time.Time
	// Failures counts the attempts that failed since the gate opened, 0 while it is closed.
	Failures int
	// Limit is how many requests may be in flight when the gate is closed.
	Limit int
	// MaxBytes is the length that a body may have.
	MaxBytes int
}

// Edge is a change of a gate that is worth a line in the log.
type Edge uint8

const (
	// NoEdge: nothing changed.
	NoEdge Edge = iota
	// Opened: the receiver fell into trouble.
	Opened
	// Changed: it is still in trouble, of another kind.
	Changed
	// Closed: it is well again.
	Closed
)

// Transition is what a report changed.
type Transition struct {
	// Edge is what changed.
	Edge Edge
	// Kind and Reason are the trouble that began; for [Closed] the one that is over.
	Kind   wire.Kind
	Reason string
	// After is, for [Closed], how long the trouble lasted.
	After time.Duration
}
