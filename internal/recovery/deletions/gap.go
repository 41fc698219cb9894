package deletions

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// GapState is how far the gap in the watch of one type has been looked into:
//
//	          our first list, or a watch that begins anew
//	Closed ───────────────────────────────────────────────▶ Open ◀─╮ the watch begins anew again: it grows
//	   ▲   every peer has written from after it, or is gone  │ │ ╰───╯
//	   ├─────────────────────────────────────────────────────╯ │ the API server does not answer
//	   │   etcd was restored                                   ▼
//	   ╰─────────────────────────────────────────────────── Resting ──▶ Open, after a pause
type GapState uint8

// The states of a gap.
const (
	Closed GapState = iota
	Open
	Resting
)

// String returns the state in lower case.
func (s GapState) String() string { return [...]string{"closed", "open", "resting"}[s] }

// Gap is a period of which our watch has seen only the outcome, because the API server did not remember what had
// happened, as after its own restart. The time before our first list is a gap, too. We know nothing of an object
// that was created and deleted in the gap. A peer may have seen its creation, have delivered it, and have left
// before its deletion. The last version in that peer's checkpoint, if it lies in the gap, shows which objects
// existed then.
//
// It is a value: its methods return the gap's next state. The zero Gap is closed.
type Gap struct {
	State GapState
	// After and Since are the versions at its ends.
	After, Since uint64
	// Retry is when a resting gap is searched again.
	Retry time.Time
	begun time.Time
}

// position is the version that our watch has reached, and the list from which it began.
type position struct{ since, version uint64 }

// first is the gap before our first list: it begins at the versions of checkpoints, if there are any.
func first(versions []uint64, stats index.Stats, now time.Time) Gap {
	switch {
	case len(versions) > 0:
		return Gap{State: Open, After: versions[0], Since: stats.Since, begun: now}
	case stats.Before > 0: // Our watch has begun anew already, perhaps more than once.
		return Gap{State: Open, After: stats.First, Since: stats.Since, begun: now}
	}
	return Gap{}
}

// next returns the gap after our watch has moved from last to the position in stats. A gap that is not closed
// stays open if the watch begins anew, and grows.
func (g Gap) next(last position, stats index.Stats, now time.Time) Gap {
	switch {
	case last.since != stats.Since && stats.Before == 0: // etcd was restored from a backup
		return Gap{}
	case last.since == stats.Since, stats.Since == last.version: // nothing has happened
	case g.State == Closed: // The watch may have begun anew more than once, and only the last time is known.
		return Gap{State: Open, After: min(last.version, stats.Before), Since: stats.Since, begun: now}
	default:
		g.Since = stats.Since
	}
	if g.State == Resting && !now.Before(g.Retry) {
		g.State = Open
	}
	return g
}

// looked returns the gap after a search of it.
func (g Gap) looked(closed bool, err error, now time.Time) Gap {
	switch {
	case err != nil:
		g.State, g.Retry = Resting, now.Add(searchPause)
	case closed:
		return Gap{}
	}
	return g
}
