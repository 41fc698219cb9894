package watch

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Phase is where the watch of one type stands. The diagram is in the package's documentation.
type Phase uint8

// The phases of a watch.
const (
	// Waiting is before the start: the type waits for a slot, or for the end of a former watch.
	Waiting Phase = iota
	// Listing is the first list.
	Listing
	// Synced means that the type has been listed, and the watch follows its changes.
	Synced
	// Failing means that the last request has failed, and is tried again.
	Failing
	// Unreadable means that the type is left out, because only namespaces may be read and it is in none.
	Unreadable
	// Stopped means that the type is not wanted any more.
	Stopped
)

// phases are the names of the phases, in the order of their values.
var phases = [...]string{"waiting", "listing", "synced", "failing", "unreadable", "stopped"}

// String returns the phase in lower case.
func (p Phase) String() string {
	if int(p) >= len(phases) {
		return "unknown"
	}
	return phases[p]
}

// Status is what is known about the watch of one type at one moment. It is a copy.
type Status struct {
	// Type is the type that is watched.
	Type resource.Type
	// Phase is the phase of the watch.
	Phase Phase
	// Since is when the watch entered Phase.
	Since time.Time
	// Err is the last error, kept after a recovery; nil when there was none.
	Err error
	// FailedAt is the time of Err.
	FailedAt time.Time
	// Reason classifies Err; empty when there was none.
	Reason Reason
	// Failures counts errors since the type was wanted.
	Failures int
	// Restarts counts watches that were ended because nothing had come for too long.
	Restarts int
	// Lists counts complete lists; more than one means that a watch could not be continued.
	Lists int
	// Listed is how many objects the last complete list had after the namespace filter.
	Listed int
	// ListedAt is when the last complete list was handed to the Sink.
	ListedAt time.Time
	// LastActivity is when the last event, bookmark or list came.
	LastActivity time.Time
	// ResourceVersion is the last version that was reported to the Sink; 0 when there was none, or versions are no
	// numbers.
	ResourceVersion uint64
}

// Synced tells whether the type has been listed at least once.
func (s Status) Synced() bool { return s.Lists > 0 }
