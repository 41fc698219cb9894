package ownership

import (
	"slices"
	"strings"
)

// State is the state in which a Lease shows its member.
//
//	        marked by a survivor, on the version it saw
//	Live ───────────────────────────────────────────────▶ Dead
//	 │ ▲                                                    │
//	 │ └── taken over under the same name ──────────────────┤
//	 ▼                                                      │
//	Released ───────────────────────────────────────────────┴──▶ collected
type State uint8

const (
	// Live is a member that works, or has not been found dead yet.
	Live State = iota
	// Released is a member that has stopped sending and has said so itself.
	Released
	// Dead is a member whose Lease another member has marked, after seeing it unchanged for the whole lease
	// duration.
	Dead
)

// String returns the state as Leases carry it.
func (s State) String() string {
	switch s {
	case Live:
		return "live"
	case Released:
		return "released"
	case Dead:
		return "dead"
	default:
		return "unknown"
	}
}

// Lease is the publication of one member, as seen at one version. Holders of a Lease must not change its slices.
type Lease struct {
	// Member is the name of the member, which is the name of its pod. There is one Lease for each name.
	Member string
	// UID is the UID of the pod. Two processes with one UID never run at the same time.
	UID string
	// Incarnation names one stay in the ring. A member that was declared dead, or whose Lease was deleted,
	// comes back as another incarnation, and so does a restarted process.
	Incarnation string
	// Version is the Lease's resourceVersion.
	Version uint64
	// State says whether the member works.
	State State
	// Format is the format by which the Claim is read: the ring's format, and what its members send and where.
	// Members of another format have nothing in common with ours.
	Format string
	Claim
	// Publication counts the claims that this stay has written. While it is the same, the claim has stood without
	// interruption.
	Publication uint64
	// Seen is the version up to which the member had seen all Leases when it began this write.
	Seen uint64
	// Since is the version of the complete list from which on the member has seen every change of every Lease.
	Since uint64
	// Vouches says that when this write began, no member whose Lease had vanished up to Seen could still be sending.
	Vouches bool
	// Sole says that when this write began, the member could send for every partition of the ring.
	Sole bool
}

// claims tells whether the Lease claims anything. A released Lease with a view is a residual claim: no member
// sends under it, but it stands until it is taken over or dropped.
func (l *Lease) claims() bool { return l.State != Dead && len(l.View) > 0 }

// residual tells whether the successor may continue where this member ended, because the member could send for
// everything. No other can have begun since, because the claim has stood all the time.
func (l *Lease) residual() bool { return l.Sole && len(l.View) == 1 && l.View[0] == l.Member }

// continues tells whether the claim of the Lease has stood without interruption since the state before.
func (l *Lease) continues(before *Lease) bool {
	return l.claims() && before.claims() && l.Incarnation == before.Incarnation && l.Publication == before.Publication &&
		l.Format == before.Format && l.same(&before.Claim)
}

// viewKey is the view as one string; two views of one format are equal if and only if their keys are.
func viewKey(view []string) string { return strings.Join(view, ",") }

func sameView(a, b []string) bool { return slices.Equal(a, b) }
