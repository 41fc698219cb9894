package api

import "time"

// Fleet is the state of all receivers, by the reports of all members. Members exchange these reports beside their
// checkpoints, so a report of another member may be some ten seconds old.
type Fleet struct {
	// Member is the replica that answers.
	Member string
	// Ready and Phase are those of the replica that answers, as in [Status].
	Ready bool
	Phase Phase
	// Objects is how many objects that replica knows.
	Objects int
	// Types are the watched types, as this replica sees them, and Discovery tells how completely they are known.
	Types     []TypeStatus
	Discovery Discovery
	// Receivers are all receivers, ordered by name.
	Receivers []FleetReceiver
}

// FleetReceiver is the state of one receiver.
type FleetReceiver struct {
	// Name, Endpoint and Format are those of [Target].
	Name, Endpoint, Format string
	// Shares are the reports of each live member, ordered by name.
	Shares []FleetShare
	// Quarantined are some of the objects that the receiver refuses from the replica that answers.
	Quarantined []Quarantined
	// UnknownDeletions and HeldRepairs are those of [Target].
	UnknownDeletions []string
	HeldRepairs      []HeldRepair
}

// FleetShare is one member's report on a receiver.
type FleetShare struct {
	// Member is the member's name; Self tells that it is the replica that answers.
	Member string
	Self   bool
	// Silent tells that the member has reported nothing yet.
	Silent bool
	// Dirty is how many objects wait, and DirtySince since when the oldest of them waits; zero for none.
	Dirty      int
	DirtySince time.Time
	// Quarantined is how many objects the receiver refuses for good.
	Quarantined int
	// FirstSync tells that some objects have not been delivered for the first time.
	FirstSync bool
	// LastSync is when the receiver last acknowledged a delivery; zero for never.
	LastSync time.Time
	// Down tells that the receiver takes nothing from the member: Reason says why, Advice what to do.
	Down           bool
	Reason, Advice string
}
