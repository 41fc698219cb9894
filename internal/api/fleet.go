package api

import "time"

// Fleet is how all receivers fare, by the word of all members. Members tell one another beside their
// checkpoints, so that what another one says may be some ten seconds old.
type Fleet struct {
	// Member is the replica that answers.
	Member string
	// Ready and Phase are its own, as in [Status].
	Ready bool
	Phase Phase
	// Objects is how many objects it knows.
	Objects int
	// Types are the watched types, as this replica sees them, and Discovery how completely they are known.
	Types     []TypeStatus
	Discovery Discovery
	// Receivers are all receivers, ordered by name.
	Receivers []FleetReceiver
}

// FleetReceiver is how one receiver fares.
type FleetReceiver struct {
	// Name, Endpoint and Format are those of [Target].
	Name, Endpoint, Format string
	// Shares are what each live member says, ordered by name.
	Shares []FleetShare
	// Quarantined are some of the objects that the receiver refuses, those of the replica that answers.
	Quarantined []Quarantined
	// UnknownDeletions and HeldRepairs are those of [Target].
	UnknownDeletions []string
	HeldRepairs      []HeldRepair
}

// FleetShare is what one member says of a receiver.
type FleetShare struct {
	// Member is its name; Self tells that it is the replica that answers.
	Member string
	Self   bool
	// Silent tells that it has said nothing yet.
	Silent bool
	// Dirty is how many objects wait, and DirtySince since when the oldest of them does; zero for none.
	Dirty      int
	DirtySince time.Time
	// Quarantined is how many objects the receiver refuses for good.
	Quarantined int
	// FirstSync tells that not everything has been delivered for the first time.
	FirstSync bool
	// LastSync is when the receiver last acknowledged something; zero for never.
	LastSync time.Time
	// Down tells that the receiver takes nothing from it: Reason says why, Advice what to do.
	Down           bool
	Reason, Advice string
}
