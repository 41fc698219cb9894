package target

import "sync"

// State is a stage in the life of a target:
//
//	     Start             what was deleted before has been looked for            Leave           Stop
//	New ──────▶ Backfill ───────────────────────────────────────────────▶ Live ─────────▶ Draining ─────▶ Stopped
//	               │ the replica ends, and what others say is known        ▲                 ▲
//	               ├───────────────────────────────────────────────────────╯                 │
//	               ╰── the replica ends, and nothing is known yet ───────────────────────────╯
//
// In Backfill the cluster is read: by the watches, or, for a target that is added at run time, by package backfill.
type State uint8

// The states.
const (
	StateNew State = iota
	StateBackfill
	StateLive
	StateDraining
	StateStopped
)

// String returns the state in lower case.
func (s State) String() string {
	return [...]string{"new", "backfill", "live", "draining", "stopped"}[s]
}

// life is the state of a target, and the state it had reached before it drained.
type life struct {
	mu      sync.Mutex // guards what follows; no call is made with it held
	state   State
	reached State // StateLive at most
}

// advance moves to a later state. A life does not go back.
func (l *life) advance(to State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = max(l.state, to)
	if to <= StateLive && l.state == to {
		l.reached = to
	}
}

// State returns the present state.
func (l *life) State() State {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state
}

// looked tells whether the first search for earlier deletions is complete, or is not needed. Only then is a
// checkpoint of ours true.
func (l *life) looked() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reached == StateLive
}

// leaving tells whether the next checkpoint is the last one.
func (l *life) leaving() bool { return l.State() >= StateDraining }
