package operations

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Trigger is why an operation was started.
type Trigger string

// The triggers.
const (
	Requested Trigger = "request"
	Scheduled Trigger = "schedule"
	Restored  Trigger = "restore" // the cluster has gone back in time
)

// Scope says which members take part in an operation.
type Scope string

// The scopes. Fleet shares it out over all members; with Replica the member that was asked sends what it owns.
const (
	Fleet   Scope = "fleet"
	Replica Scope = "replica"
)

// Request says what to send again. The zero value asks for nothing, since it has no types.
type Request struct {
	// Types are the types. Of an [Operation] that runs they are those that have parts, of one that has ended
	// there are none.
	Types []resource.Type
	// Namespace limits it to one namespace, or to cluster-scoped objects when it is [resource.ClusterNamespace]; empty
	// means all.
	Namespace string
	// Label distinguishes requests for different types. It is the name that the client used; empty means
	// everything.
	Label string
	// Target is the receiver; empty means all.
	Target string
	// Scope says which members take part; empty means Fleet.
	Scope Scope
	// Force is passed to the Runner. With it every member that takes part has one more part, for the repairs of
	// these types that it holds back ([Part.Held]).
	Force bool
	// Trigger is the reason; empty means Requested.
	Trigger Trigger
}

// Full tells whether the request covers everything.
func (r Request) Full() bool {
	return r.Label == "" && r.Namespace == "" && r.Target == "" && r.Scope != Replica
}

// equal tells whether two requests to these members ask for the same, whatever the reason.
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

// Status is how far an operation is.
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
	// Member is its name.
	Member string `json:"member"`
	// Parts and Objects are the size of its share, by count and by the objects that existed at planning.
	Parts   int `json:"parts"`
	Objects int `json:"objects"`
	// Done counts the parts it has finished, Offered the objects it handed to receivers, Open those of them
	// that have not arrived.
	Done    int `json:"done"`
	Offered int `json:"offered"`
	Open    int `json:"open,omitempty"`
}

// Operation is a copy of the state of one resync of the fleet, as far as this member knows: what the others do arrives
// seconds later.
type Operation struct {
	ID      string
	Request Request
	// Member is the one that was asked.
	Member string
	Status Status
	// StartedAt and FinishedAt are times of the members' clocks; FinishedAt is zero while it runs.
	StartedAt, FinishedAt time.Time
	// Types counts the types, TypesDone those of which every part is done.
	Types, TypesDone int
	// Offered counts objects handed to the receivers, Open those of them that have not arrived, Estimate
	// those there were at planning.
	Offered, Open, Estimate int
	// Repair is what was done with documents whose objects are gone.
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

// Finished tells whether the operation will not change any more.
func (o Operation) Finished() bool { return o.Status != Running }
