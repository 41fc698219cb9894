package api

import (
	"fmt"
	"time"
)

// Operation is one resync, running or finished.
type Operation struct {
	// ID names the operation on every member.
	ID string `json:"id"`
	// Status tells how far the operation is.
	Status OperationStatus `json:"status"`
	// Trigger is the reason for which it was started.
	Trigger Trigger `json:"trigger"`
	// Scope, Resource, Namespace and Force are those of the request; empty means all.
	Scope     Scope  `json:"scope"`
	Resource  string `json:"resource,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Force     bool   `json:"force"`
	// Target is the receiver; empty when the operation is for all of several.
	Target string `json:"target,omitempty"`
	// Member is the replica that was asked.
	Member string `json:"member"`
	// Shares are the parts of each member in it, ordered by name; empty for an operation that ended long ago.
	Shares List[Share] `json:"shares"`
	// StartedAt is when it began.
	StartedAt time.Time `json:"startedAt"`
	// FinishedAt is when it ended, absent while it runs.
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	// Types counts resource types listed and sent.
	Types Progress `json:"types"`
	// Resources counts objects sent; the total is an estimate until it has finished.
	Resources Progress `json:"resources"`
	// OrphansDeleted is how many documents without an object were removed.
	OrphansDeleted int `json:"orphansDeleted"`
	// OrphansHeld is how many more would have been removed without the guard; force removes them.
	OrphansHeld int `json:"orphansHeld"`
	// Failed are the types that could not be resynced.
	Failed List[TypeFailure] `json:"failed"`
	// Message is a sentence for people on what is remarkable, empty when nothing is.
	Message string `json:"message,omitempty"`
}

// Share is one member's part of a resync.
type Share struct {
	// Member is the member's name.
	Member string `json:"member"`
	// Parts counts the types, or pieces of large types, that it has to send.
	Parts Progress `json:"parts"`
	// Resources counts objects sent; the total is an estimate until it has finished.
	Resources Progress `json:"resources"`
}

// OperationStatus tells how far a resync is.
//
//	running ──▶ done | failed
type OperationStatus string

const (
	// OperationRunning means that objects are still to be sent or acknowledged.
	OperationRunning OperationStatus = "running"
	// OperationDone means that everything was sent and acknowledged, except for Failed and OrphansHeld.
	OperationDone OperationStatus = "done"
	// OperationFailed means that the operation was given up.
	OperationFailed OperationStatus = "failed"
)

// Finished tells whether the operation will not change any more.
func (s OperationStatus) Finished() bool { return s == OperationDone || s == OperationFailed }

// Trigger is the reason for which a resync was started.
type Trigger string

const (
	// TriggerRequest is a request to this API.
	TriggerRequest Trigger = "request"
	// TriggerSchedule is the resync interval.
	TriggerSchedule Trigger = "schedule"
	// TriggerRestore is an inventory which shows that the cluster has gone back in time.
	TriggerRestore Trigger = "restore"
	// TriggerFirstSync is a receiver of which no member knows anything.
	TriggerFirstSync Trigger = "firstSync"
)

// TypeFailure is a type that a resync could not cover, and why.
type TypeFailure struct {
	Type  string `json:"type"`
	Error string `json:"error"`
}

// Result is the answer to a POST /api/v1/resync that waited until the end.
type Result struct {
	// Status is always ok.
	Status string `json:"status"`
	// Resources is how many objects were sent.
	Resources int `json:"resources"`
	// Message is a sentence for people.
	Message string `json:"message"`
}

// result is the answer about a finished operation, for a client that waited.
func result(op Operation) Result {
	msg := fmt.Sprintf("resynced %d resources", op.Resources.Done)
	if op.OrphansDeleted > 0 {
		msg += fmt.Sprintf("; orphans deleted: %d", op.OrphansDeleted)
	}
	if op.OrphansHeld > 0 {
		msg += fmt.Sprintf("; orphans held back because they are suspiciously many: %d (force deletes them)", op.OrphansHeld)
	}
	if op.Message != "" {
		msg += "; " + op.Message
	}
	return Result{Status: "ok", Resources: op.Resources.Done, Message: msg}
}

// Operations is the answer of GET /api/v1/resync.
type Operations struct {
	// Operations are running and recent resyncs, newest first.
	Operations List[Operation] `json:"operations"`
}

// Error is the answer to every request that could not be served.
type Error struct {
	// Status is always error.
	Status string `json:"status"`
	// Message says what is wrong with the request and what would be right.
	Message string `json:"message"`
	// Suggestions are names that may have been meant, best first.
	Suggestions List[string] `json:"suggestions"`
	// Operation is the ID of the resync that the error concerns, absent when there is none.
	Operation string `json:"operation,omitempty"`
}
