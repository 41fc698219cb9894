package deletions

import "time"

// State is how far the search for the missed deletions of one type has come:
//
//	          an incumbent says that all is delivered
//	Pending ──────────────────────────────────────────▶ Answered
//	   │      the API server's history tells each
//	   ├──────────────────────────────────────────────▶ Replayed
//	   │      lists of the past, or the inventory, lack nothing more
//	   ├──────────────────────────────────────────────▶ Compared ◀─╮
//	   │      the inventory lacks more than the guard allows       │ a person's word
//	   ├──────────────────────────────────────────────▶ Held ──────╯
//	   │      nothing can tell
//	   ╰──────────────────────────────────────────────▶ Unknown
//
// A [Gap] in our own watch since then has states of its own.
//
// An inventory that turns out to be of a lost time makes each type that it knows Pending again.
type State uint8

// The states.
const (
	Pending State = iota
	Answered
	Replayed
	Compared
	Held
	Unknown
)

// String returns the state in lower case.
func (s State) String() string {
	return [...]string{"pending", "answered", "replayed", "compared", "held", "unknown"}[s]
}

// Done tells whether the search is over.
func (s State) Done() bool { return s != Pending && s != Held }

// search is the state of the search for missed deletions of one type. The finder's mu guards it.
type search struct {
	state    State
	begun    time.Time
	retry    time.Time
	listed   uint64          // the version of our list, or a little more: the search covers deletions up to here
	versions []uint64        // of checkpoints, ascending: at each, the receiver had all objects of the API server
	asked    map[uint64]bool // versions at which the past is known
	expired  bool            // the API server does not remember the past
	gone     bool            // the type is served no longer
	gap      Gap             // in our watch; its state is beside the one above, and neither waits for the other
	seen     position        // our watch at the last look
}

// note notes that a version has been asked about.
func (s *search) note(version uint64) {
	if s.asked == nil {
		s.asked = make(map[uint64]bool)
	}
	s.asked[version] = true
}
