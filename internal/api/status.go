package api

import "time"

// Status is the answer of GET /api/v1/status.
type Status struct {
	// Version is the version of the program.
	Version string `json:"version"`
	// Member is the name of this replica in the ring.
	Member string `json:"member"`
	// StartedAt is when the process started.
	StartedAt time.Time `json:"startedAt"`
	// UptimeSeconds is how long ago that was, by the monotonic clock.
	UptimeSeconds float64 `json:"uptimeSeconds"`
	// Ready equals the answer of /readyz: discovery is done and every healthy type has been listed once.
	Ready bool `json:"ready"`
	// Phase sums up the fields below in one word.
	Phase Phase `json:"phase"`
	// Objects is how many objects this replica knows, its own and those of the other members.
	Objects int `json:"objects"`
	// Types are the watched types, ordered by name.
	Types List[TypeStatus] `json:"types"`
	// Discovery tells how completely the cluster's types are known.
	Discovery Discovery `json:"discovery"`
	// Targets are the receivers, ordered by name.
	Targets List[Target] `json:"targets"`
	// Resync tells which resyncs have ended, run, and will come.
	Resync ResyncStatus `json:"resync"`
}

// Phase sums up the state of a replica.
//
//	starting ──▶ syncing ◀──▶ inSync
//	    └───────────┴────────────┴──▶ stopping
type Phase string

const (
	// PhaseStarting lasts until every type has been listed once or has failed.
	PhaseStarting Phase = "starting"
	// PhaseSyncing means that some receiver is not yet in step.
	PhaseSyncing Phase = "syncing"
	// PhaseInSync means that every receiver is in step with what this replica owns.
	PhaseInSync Phase = "inSync"
	// PhaseStopping means that the replica flushes the changes that are due.
	PhaseStopping Phase = "stopping"
)

// TypeStatus is the state of the watch of one type.
type TypeStatus struct {
	// Name is fully qualified, such as deployments.v1.apps.
	Name string `json:"name"`
	// Objects is how many objects of the type are known.
	Objects int `json:"objects"`
	// Phase is the state of the watch.
	Phase TypePhase `json:"phase"`
	// Since is when the phase was entered.
	Since time.Time `json:"since"`
	// VerifiedAt is when the index of the type was last compared with a complete list; absent before the first time.
	VerifiedAt *time.Time `json:"verifiedAt,omitempty"`
	// Error is the last failure of the watch, empty when it is well.
	Error string `json:"error,omitempty"`
}

// TypePhase is the state of the watch of one type.
type TypePhase string

const (
	// TypeWaiting means that the first list has not begun: only a few types are listed at a time.
	TypeWaiting TypePhase = "waiting"
	// TypeListing means that the objects of the type are being read for the first time or again.
	TypeListing TypePhase = "listing"
	// TypeWatching means that the index has all objects of the type and follows its changes.
	TypeWatching TypePhase = "watching"
	// TypeFailing means that the watch is tried again after a pause; the index keeps the objects of the type.
	TypeFailing TypePhase = "failing"
	// TypeUnreadable means that rights are given by namespace and the type is in none, so it is left out.
	TypeUnreadable TypePhase = "unreadable"
)

// Discovery tells how completely the cluster's types are known.
type Discovery struct {
	// Complete is false while a group does not answer or before the first discovery.
	Complete bool `json:"complete"`
	// Failed are the groups that do not answer, ordered by name.
	Failed List[FailedGroup] `json:"failed"`
	// Unknown are the names in the filters that match no type of the cluster.
	Unknown List[string] `json:"unknown"`
}

// FailedGroup is a group and version whose types are unknown.
type FailedGroup struct {
	// GroupVersion is its name, such as metrics.k8s.io/v1beta1.
	GroupVersion string `json:"groupVersion"`
	// Error is the reason.
	Error string `json:"error"`
}

// Target is the state of one receiver. Counts are of this replica alone, since its start.
type Target struct {
	// Name is the name in the configuration: default, or namespace/name of a ResourceSyncConfig.
	Name string `json:"name"`
	// Endpoint is its URL without user, password and query values.
	Endpoint string `json:"endpoint"`
	// Format is the receiver's contract: cluster-whisperer or dot-ai.
	Format string `json:"format"`
	// State tells whether requests flow.
	State TargetState `json:"state"`
	// Reason says why the state is not delivering, empty otherwise.
	Reason string `json:"reason,omitempty"`
	// Since is when the state was entered.
	Since time.Time `json:"since"`
	// NextAttempt is when the receiver is probed again, absent while delivering.
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	// Dirty is how many objects differ from what the receiver last acknowledged.
	Dirty int `json:"dirty"`
	// OldestDirtySeconds is for how long the oldest of them has differed, 0 when there is none: the true lag.
	OldestDirtySeconds float64 `json:"oldestDirtySeconds"`
	// InFlight is how many requests are under way.
	InFlight int `json:"inFlight"`
	// Upserts and Deletes count the changes that the receiver has acknowledged.
	Upserts uint64 `json:"upserts"`
	Deletes uint64 `json:"deletes"`
	// QuarantinedTotal is how many objects the receiver refuses for good.
	QuarantinedTotal int `json:"quarantinedTotal"`
	// Quarantined are some of them, a bounded number, oldest first.
	Quarantined List[Quarantined] `json:"quarantined"`
	// Unknown is how many objects wait for the repetition of their last word after a request without an answer.
	Unknown int `json:"unknown"`
	// InStep is true when nothing is dirty, in flight or unknown.
	InStep bool `json:"inStep"`
	// FirstSync is the progress of the first full sync, absent when none was needed.
	FirstSync *Progress `json:"firstSync,omitempty"`
	// UnknownDeletions are the types of which deletions may have been missed while no member watched, by the reports
	// of all members. No source can name these deletions, or the receiver has not yet answered.
	UnknownDeletions List[string] `json:"unknownDeletions"`
	// HeldRepairs are the held repairs of all members; a resync with force releases them.
	HeldRepairs List[HeldRepair] `json:"heldRepairs"`
}

// HeldRepair is a repair that would delete more documents of a type than it may without a person's consent.
type HeldRepair struct {
	// Resource is the type, such as deployments.v1.apps.
	Resource string `json:"resource"`
	// Source is the evidence that their objects are gone: inventory, or receiver for its own list.
	Source string `json:"source"`
	// Member is the replica that holds it back.
	Member string `json:"member"`
	// Documents is how many would be deleted, and Limit how many may be without consent.
	Documents int `json:"documents"`
	Limit     int `json:"limit"`
}

// TargetState tells whether requests to a receiver flow.
type TargetState string

const (
	// TargetDelivering means that requests flow.
	TargetDelivering TargetState = "delivering"
	// TargetBackingOff means that the receiver is in trouble and probed now and then; changes coalesce meanwhile.
	TargetBackingOff TargetState = "backingOff"
)

// Quarantined is one object that a receiver refuses for good. It is sent again when it changes or at a resync.
type Quarantined struct {
	// ID names the object.
	ID string `json:"id"`
	// Reason is the reason that the receiver gave.
	Reason string `json:"reason"`
	// Since is when the receiver refused it.
	Since time.Time `json:"since"`
}

// Progress counts the finished and all units of some work.
type Progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// ResyncStatus tells which resyncs have ended, run, and will come.
type ResyncStatus struct {
	// Last is the resync that finished last, absent before the first.
	Last *Operation `json:"last,omitempty"`
	// Next is when the next resync is due, absent when none is scheduled.
	Next *time.Time `json:"next,omitempty"`
	// Running are the resyncs that run.
	Running List[Operation] `json:"running"`
}
