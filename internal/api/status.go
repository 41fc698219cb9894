package api

import "time"

// Status is the answer of GET /api/v1/status.
type Status struct {
	// Version is that of the program.
	Version string `json:"version"`
	// Member is the name of this replica in the ring.
	Member string `json:"member"`
	// StartedAt is when the process started.
	StartedAt time.Time `json:"startedAt"`
	// UptimeSeconds is how long ago that was, by the monotonic clock.
	UptimeSeconds float64 `json:"uptimeSeconds"`
	// Ready equals what /readyz says: discovery is done and every healthy type has been listed once.
	Ready bool `json:"ready"`
	// Phase is the one word for all that follows.
	Phase Phase `json:"phase"`
	// Objects is how many objects this replica knows, its own and those of others.
	Objects int `json:"objects"`
	// Types are the watched types, ordered by name.
	Types List[TypeStatus] `json:"types"`
	// Discovery tells how completely the cluster's types are known.
	Discovery Discovery `json:"discovery"`
	// Targets are the receivers, ordered by name.
	Targets List[Target] `json:"targets"`
	// Resync tells which resyncs were, are and will be.
	Resync ResyncStatus `json:"resync"`
}

// Phase sums up what a replica does.
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
	// PhaseStopping means that what is due is being flushed.
	PhaseStopping Phase = "stopping"
)

// TypeStatus tells how the watch of one type fares.
type TypeStatus struct {
	// Name is fully qualified, such as deployments.v1.apps.
	Name string `json:"name"`
	// Objects is how many objects of the type are known.
	Objects int `json:"objects"`
	// Phase is the state of the watch.
	Phase TypePhase `json:"phase"`
	// Since is when the phase was entered.
	Since time.Time `json:"since"`
	// VerifiedAt is when what is known was last held against a complete list; absent before the first.
	VerifiedAt *time.Time `json:"verifiedAt,omitempty"`
	// Error is why the watch failed last, empty when it is well.
	Error string `json:"error,omitempty"`
}

// TypePhase is the state of the watch of one type.
type TypePhase string

const (
	// TypeWaiting means that it has not begun: few types are listed at a time.
	TypeWaiting TypePhase = "waiting"
	// TypeListing means that its objects are being read for the first time or again.
	TypeListing TypePhase = "listing"
	// TypeWatching means that it is complete and live.
	TypeWatching TypePhase = "watching"
	// TypeFailing means that it is tried again after a pause; what was known of it stays.
	TypeFailing TypePhase = "failing"
	// TypeUnreadable means that it is in no namespace, and that rights are given by namespace: it is left out.
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

// FailedGroup is a group and version whose types cannot be told.
type FailedGroup struct {
	// GroupVersion is its name, such as metrics.k8s.io/v1beta1.
	GroupVersion string `json:"groupVersion"`
	// Error is why.
	Error string `json:"error"`
}

// Target tells how one receiver fares. Counts are of this replica alone, since its start.
type Target struct {
	// Name is that of the configuration: default, or namespace/name of a ResourceSyncConfig.
	Name string `json:"name"`
	// Endpoint is its URL without user, password and query values.
	Endpoint string `json:"endpoint"`
	// Format is the receiver's contract: cluster-whisperer or dot-ai.
	Format string `json:"format"`
	// State tells whether requests flow.
	State TargetState `json:"state"`
	// Reason is why the state is not delivering, empty otherwise.
	Reason string `json:"reason,omitempty"`
	// Since is when the state was entered.
	Since time.Time `json:"since"`
	// NextAttempt is when the receiver is probed again, absent while delivering.
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	// Dirty is how many objects differ from what the receiver last acknowledged.
	Dirty int `json:"dirty"`
	// OldestDirtySeconds is for how long the oldest of them has, 0 when there is none: the true lag.
	OldestDirtySeconds float64 `json:"oldestDirtySeconds"`
	// InFlight is how many requests are under way.
	InFlight int `json:"inFlight"`
	// Upserts and Deletes are how many were acknowledged.
	Upserts uint64 `json:"upserts"`
	Deletes uint64 `json:"deletes"`
	// QuarantinedTotal is how many objects the receiver refuses for good.
	QuarantinedTotal int `json:"quarantinedTotal"`
	// Quarantined are some of them, a bounded number, oldest first.
	Quarantined List[Quarantined] `json:"quarantined"`
	// Unknown is how many objects wait for their last word to be repeated after a request without answer.
	Unknown int `json:"unknown"`
	// InStep is true when nothing is dirty, in flight or unknown.
	InStep bool `json:"inStep"`
	// FirstSync is the progress of the first full sync, absent when none was needed.
	FirstSync *Progress `json:"firstSync,omitempty"`
	// UnknownDeletions are the types of which deletions may have been missed while nobody watched, by the word of all
	// members: nothing can tell of them any more, or the receiver has not been able to yet.
	UnknownDeletions List[string] `json:"unknownDeletions"`
	// HeldRepairs are the repairs that wait for a resync with force, those of all members.
	HeldRepairs List[HeldRepair] `json:"heldRepairs"`
}

// HeldRepair is a repair that would delete more documents of a type than may be deleted without a person's word.
type HeldRepair struct {
	// Resource is the type, such as deployments.v1.apps.
	Resource string `json:"resource"`
	// Source is what says that their objects are gone: inventory, or receiver for its own list.
	Source string `json:"source"`
	// Member is the replica that holds it back.
	Member string `json:"member"`
	// Documents is how many would be deleted, Limit how many may be unasked.
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

// Quarantined is one object that a receiver refuses for good. It is tried again when it changes or at a resync.
type Quarantined struct {
	// ID names the object.
	ID string `json:"id"`
	// Reason is the receiver's.
	Reason string `json:"reason"`
	// Since is when it was refused.
	Since time.Time `json:"since"`
}

// Progress is how much of something is done.
type Progress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
}

// ResyncStatus tells which resyncs were, are and will be.
type ResyncStatus struct {
	// Last is the one that finished last, absent before the first.
	Last *Operation `json:"last,omitempty"`
	// Next is when the next is due, absent when none is scheduled.
	Next *time.Time `json:"next,omitempty"`
	// Running are those under way.
	Running List[Operation] `json:"running"`
}
