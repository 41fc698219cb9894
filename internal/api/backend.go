package api

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Backend is the source of the API's answers. Many goroutines call its methods at once. The API reads the values
// that they return after the call, without a lock, so the backend must not change a value that it has returned.
type Backend interface {
	Observer
	Resyncer
	Verifications
}

// Observer tells what this replica sees. Its methods do not block for longer than it takes to copy a status.
type Observer interface {
	// Status returns the status of this replica. It answers at any time, also before anything is ready.
	Status(ctx context.Context) Status
	// Ring returns the members that share the work, as this replica sees them. A single replica is a ring of one.
	Ring(ctx context.Context) Ring
	// Fleet returns the state of all receivers, by the reports of all members as far as this one has received them.
	Fleet(ctx context.Context) Fleet
	// Owner tells which member may send an object; the object need not exist. The ID is well-formed. It returns
	// [ErrNotReady] while there is no ring yet.
	Owner(id resource.ID) (Owner, error)
}

// Resyncer runs resyncs. An operation outlives the request that started it.
type Resyncer interface {
	// StartResync starts a resync and returns at once, with its status running (or finished, if there was nothing to
	// do). A request equal to that of a running operation returns that operation. ctx bounds the call, not the resync.
	// It returns a [*NotFoundError] for a resource or namespace that does not exist, a [*BadRequestError] for a
	// request that cannot be fulfilled, and [ErrNotReady] before the first discovery.
	StartResync(ctx context.Context, r Request) (Operation, error)
	// WaitResync blocks until the operation has finished and returns it, or until ctx ends and returns its error. It
	// returns a [*NotFoundError] for an unknown operation.
	WaitResync(ctx context.Context, id string) (Operation, error)
	// Resync returns one operation, running or recent; ok is false when there is none of that ID.
	Resync(id string) (op Operation, ok bool)
	// Resyncs returns the running and recent operations, newest first, and a bounded number of them.
	Resyncs() []Operation
}

// Request says which objects to resync. The zero value means all objects, by the whole fleet.
type Request struct {
	// Scope says which members take part; empty means [ScopeFleet].
	Scope Scope
	// Resource names one type, in lower case, as kubectl spells it: deployments, deployments.apps or
	// deployments.v1.apps. Empty means all.
	Resource string
	// Namespace limits the resync to one namespace, or to cluster-scoped objects when it is
	// [resource.ClusterNamespace]. Empty means all.
	Namespace string
	// Force lets a repair delete more orphans than the guard allows.
	Force bool
}

// Scope says which members take part in a resync.
type Scope string

const (
	// ScopeFleet shares the resync out over all members.
	ScopeFleet Scope = "fleet"
	// ScopeReplica makes the replica that is asked send the objects that it owns, and no others.
	ScopeReplica Scope = "replica"
)

// ErrNotReady says that the replica cannot answer yet because it is starting. The API answers 503.
var ErrNotReady = errors.New("this replica is still starting")

// NotFoundError says that a thing that a request names does not exist. The API answers 404.
type NotFoundError struct {
	// What is the sort of thing: resource, namespace, resync.
	What string
	// Name is the name in the request.
	Name string
	// Suggestions are names that exist and may have been meant, best first; see [Nearest].
	Suggestions []string
}

// Error implements error.
func (e *NotFoundError) Error() string {
	msg := fmt.Sprintf("no %s is named %q", e.What, e.Name)
	if len(e.Suggestions) > 0 {
		msg += "; did you mean " + strings.Join(e.Suggestions, " or ") + "?"
	}
	return msg
}

// BadRequestError says that a request makes no sense. The API answers 400.
type BadRequestError struct {
	// Message says what is wrong with the request and what would be right.
	Message string
	// Suggestions are values that may have been meant, best first.
	Suggestions []string
}

// Error implements error.
func (e *BadRequestError) Error() string { return e.Message }
