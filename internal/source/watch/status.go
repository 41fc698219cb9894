package watch

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Phase is where the watch of one type stands. The diagram is in the package's documentation.
type Phase uint8

// The phases of a watch.
const (
	// Waiting for a start slot, or for a former watch of the same type to end.
	Waiting Phase = iota
	// Listing for the first time.
	Listing
	// Synced has been listed and follows the changes.
	Synced
	// Failing has met an error since it last went well, and is being tried again.
	Failing
	// Unreadable is in no namespace, where namespaces are all there is to be read: it is left out.
	Unreadable
	// Stopped is no longer wanted.
	Stopped
)

// phases in the order of their values.
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
	// Phase is where the watch stands, since the time Since.
	Phase Phase
	// Since is when Phase was entered.
	Since time.Time
	// Err is the last error, kept after a recovery; nil when there was none. FailedAt is its time, Reason its class.
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
	// Listed is how many objects the last complete list had after the namespace filter; ListedAt is its time.
	Listed int
	// ListedAt is when the last complete list was handed to the Sink.
	ListedAt time.Time
	// LastActivity is when an event, a bookmark or a list last came.
	LastActivity time.Time
	// ResourceVersion is the last one that was reported to the Sink, 0 when none was or the server's are no numbers.
	ResourceVersion uint64
}

// Synced tells whether the type has been listed at least once.
func (s Status) Synced() bool { return s.Lists > 0 }
