package operations

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Trigger is the reason for which an operation was started.
type Trigger string

// The triggers.
const (
	Requested Trigger = "request"
	Scheduled Trigger = "schedule"
	Restored  Trigger = "restore" // the cluster has gone back in time
)

// Scope says which members take part in an operation.
type Scope string

// The scopes. Fleet shares an operation out over all members. With Replica, the member that was asked sends its
// own objects.
const (
	Fleet   Scope = "fleet"
	Replica Scope = "replica"
)

// Request names the objects to send again. The zero value asks for none, since it has no types.
type Request struct {
	// Types are the types. For an [Operation] that runs, they are the types that have parts; for one that has ended,
	// there are none.
	Types []resource.Type
	// Namespace limits the request to one namespace, or to cluster-scoped objects when it is
	// [resource.ClusterNamespace]; empty means all.
	Namespace string
	// Label distinguishes requests for different types. It is the name that the client used; empty means all types.
	Label string
	// Target is the receiver; empty means all.
	Target string
	// Scope says which members take part; empty means Fleet.
	Scope Scope
	// Force is passed to the Runner. With it, every member that takes part has one more part: the repairs of these
	// types that it holds back ([Part.Held]).
	Force bool
	// Trigger is the reason; empty means Requested.
	Trigger Trigger
}

// Full tells whether the request covers all objects.
func (r Request) Full() bool {
	return r.Label == "" && r.Namespace == "" && r.Target == "" && r.Scope != Replica
}

// equal tells whether two requests to these members ask for the same objects, whatever the reason.
func (r Request) equal(asked string, o Request, oAsked string) bool {
	return r.Label == o.Label && r.Namespace == o.Namespace && r.Target == o.Target && r.Scope == o.Scope && r.Force == o.Force &&
		(r.Scope != Replica || asked == oAsked)
}

// covers tells whether a request can include objects of a type.
func (r Request) covers(t resource.Type) bool {
	switch r.Namespace {
	case "":
		return true
	case resource.ClusterNamespace:
		return !t.Namespaced
	default:
		return t.Namespaced
	}
}

func (r Request) withDefaults() Request {
	if r.Scope == "" {
		r.Scope = Fleet
	}
	if r.Trigger == "" {
		r.Trigger = Requested
	}
	r.Types = slices.Clone(r.Types)
	return r
}

// Status is the state of an operation.
type Status string

// The states of an operation. Done means that every part was sent or is named in Failures, Failed that the
// operation was given up.
const (
	Running Status = "running"
	Done    Status = "done"
	Failed  Status = "failed"
)

// Share is one member's share of an operation.
type Share struct {
	// Member is the member's name.
	Member string `json:"member"`
	// Parts and Objects are the size of its share, by count and by the objects that existed at planning.
	Parts   int `json:"parts"`
	Objects int `json:"objects"`
	// Done counts the parts that the member has finished. Offered counts the objects that it has given to receivers,
	// and Open those of them that have not arrived.
	Done    int `json:"done"`
	Offered int `json:"offered"`
	Open    int `json:"open,omitempty"`
}

// Operation is a copy of the state of one resync of the fleet, as far as this member knows. The progress of the
// others arrives seconds later.
type Operation struct {
	ID      string
	Request Request
	// Member is the member that received the request.
	Member string
	Status Status
	// StartedAt and FinishedAt are times of the members' clocks; FinishedAt is zero while the operation runs.
	StartedAt, FinishedAt time.Time
	// Types counts the types, TypesDone those of which every part is done.
	Types, TypesDone int
	// Offered counts the objects given to the receivers, Open those of them that have not arrived, and Estimate the
	// objects that existed at planning.
	Offered, Open, Estimate int
	// Repair counts the documents whose objects are gone.
	Repair Repair
	// Failures are messages by type.
	Failures map[string]string
	// FailedTypes counts the types with failures. It is more than len(Failures) where an operation that has
	// ended had too many to keep.
	FailedTypes int
	// Shares are the members that take part, by name.
	Shares []Share
	// Message says why the operation was given up.
	Message string
}

// Finished tells whether the operation has reached its last state.
func (o Operation) Finished() bool { return o.Status != Running }
