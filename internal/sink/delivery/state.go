package delivery

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// State is the health of a receiver as a breaker sees it.
type State struct {
	// Open tells that the receiver is in trouble and gets one request at a time at most.
	Open bool
	// Since is when Open last changed, zero when it never did.
	Since time.Time
	// Kind is the latest trouble. It has no meaning while the breaker is closed.
	Kind wire.Kind
	// Reason describes the latest trouble, empty while the breaker is closed.
	Reason string
	// Next is when the next attempt may start, zero while the breaker is closed.
	Next time.Time
	// Failures counts the attempts that failed since the breaker opened, 0 while it is closed.
	Failures int
	// Limit is the number of requests that may be in flight while the breaker is closed.
	Limit int
	// MaxBytes is the length that a body may have.
	MaxBytes int
}

// Edge is a change of a breaker that is worth a log line.
type Edge uint8

const (
	// NoEdge: nothing changed.
	NoEdge Edge = iota
	// Opened: the receiver fell into trouble.
	Opened
	// Changed: the receiver is still in trouble, of another kind.
	Changed
	// Closed: the receiver is well again.
	Closed
)

// String returns the edge in lower case.
func (e Edge) String() string {
	switch e {
	case NoEdge:
		return "none"
	case Opened:
		return "opened"
	case Changed:
		return "changed"
	case Closed:
		return "closed"
	default:
		return "invalid"
	}
}

// Transition is the change that a report made.
type Transition struct {
	// Edge is the kind of the change.
	Edge Edge
	// Kind and Reason are the trouble that began; for [Closed] the trouble that is over.
	Kind   wire.Kind
	Reason string
	// After is, for [Closed], how long the trouble lasted.
	After time.Duration
}
