package ownership

import (
	"cmp"
	"slices"
	"time"
)

// Retirement is one change of another member's Lease, on the condition that the Lease still has the version.
type Retirement struct {
	// Kind is the change to make.
	Kind RetirementKind
	// Member names the Lease, and Version is the condition.
	Member  string
	Version uint64
	// Lease is the new content; the zero Lease means that the Lease is deleted.
	Lease Lease
}

// RetirementKind is a way to retire the Lease of a member that is gone.
type RetirementKind uint8

const (
	// MarkDead ends the claim of a member whose Lease we have seen unchanged for the whole lease duration.
	MarkDead RetirementKind = iota
	// DropClaim ends the claim that a released Lease left behind: it has found no successor, and we want to work.
	DropClaim
	// Collect deletes the Lease of a member that has been gone for the retention time.
	Collect
)

// String returns the kind for logs.
func (k RetirementKind) String() string {
	return [...]string{"mark dead", "drop claim", "collect"}[k]
}

// Retirements returns the retirements that are due. It returns one again after a renewal interval if the Lease
// has not changed by then. The caller performs each once and need not report, because the watch will show the
// result. A retirement can do no harm when it comes late or twice, because it is conditional.
func (m *Machine) Retirements(now time.Duration) []Retirement {
	if !m.synced || m.leaving {
		return nil
	}
	var due []Retirement
	for member, o := range m.leases {
		if o.tried && now < o.attempt+m.t.RenewInterval {
			continue
		}
		if r, ok := m.retirement(member, o, now); ok {
			o.tried, o.attempt = true, now
			due = append(due, r)
		}
	}
	slices.SortFunc(due, func(a, b Retirement) int { return cmp.Compare(a.Member, b.Member) })
	return due
}

func (m *Machine) retirement(member string, o *observed, now time.Duration) (Retirement, bool) {
	r := Retirement{Member: member, Version: o.lease.Version, Lease: o.lease}
	switch {
	case o.lease.State == Live:
		if m.mine(&o.lease) || now < o.changed+m.t.LeaseDuration || !m.awake(member, now) {
			return Retirement{}, false
		}
		r.Kind, r.Lease.State = MarkDead, Dead
	case o.lease.claims():
		if !m.joined || member == m.self.Member {
			return Retirement{}, false
		}
		r.Kind, r.Lease.Claim, r.Lease.Sole = DropClaim, Claim{}, false
	default:
		if !m.joined || m.Fenced(now) || member == m.self.Member || now < o.retired+m.t.Retention || m.first() != m.self.Member {
			return Retirement{}, false
		}
		r.Kind, r.Lease = Collect, Lease{}
	}
	return r, true
}

// awake tells whether a Lease for which we saw no change can be trusted not to have changed. It can if our own
// renewals succeed and come back through the watch. The condition on the version makes the marking safe; awake
// saves the futile attempts of a process that was stopped or whose watch has stalled. A member that waits for its
// own name has no renewals.
func (m *Machine) awake(member string, now time.Duration) bool {
	if !m.joined {
		return member == m.self.Member && !m.rejoining
	}
	own := m.leases[m.self.Member]
	return !m.Fenced(now) && own != nil && now < own.changed+m.t.LeaseDuration
}

// first returns the first of the live members by name, which does the work that one member can do for all.
func (m *Machine) first() string {
	first := m.self.Member
	for member, o := range m.leases {
		if o.lease.State == Live {
			first = min(first, member)
		}
	}
	return first
}
