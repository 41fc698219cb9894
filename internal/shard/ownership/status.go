package ownership

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Phase is the condition in which one member sees another.
type Phase uint8

const (
	// Waiting is a member without a claim: it has no Lease yet, or waits for its name or for members of another
	// format.
	Waiting Phase = iota
	// Working is a live member with a claim.
	Working
	// Silent is a live member whose renewals have not been seen for longer than the renew deadline.
	Silent
	// Missing is a member whose Lease was deleted while it was live. Others wait for it as for a silent one.
	Missing
	// Gone is a member that has released its Lease, or that another member has found dead.
	Gone
)

// String returns the phase for people and for the API.
func (p Phase) String() string {
	return [...]string{"waiting", "working", "silent", "missing", "gone"}[p]
}

// MemberStatus is this member's knowledge of one member.
type MemberStatus struct {
	// Lease is the Lease that the member published last. A missing member has only a name, a UID and a format.
	Lease Lease
	// Phase is the member's condition.
	Phase Phase
	// Heartbeat is the time since its Lease was last seen to change.
	Heartbeat time.Duration
	// Claimed is the number of partitions that it claims; all of them when its claim cannot be read.
	Claimed int
	// Stranger tells that the member is of another format, so that it forms no ring with us.
	Stranger bool
	// Self tells that the member is this one.
	Self bool
}

// Status is this member's knowledge of the ring at one moment.
type Status struct {
	// Members are all members with a Lease, and the missing ones, by name.
	Members []MemberStatus
	// Partitions is the number of partitions of the ring, and Owned the number for which we may send.
	Partitions, Owned int
	// Fenced tells that we may send nothing because our Lease could not be renewed.
	Fenced bool
	// Settled tells that we may begin with partitions that are new to us.
	Settled bool
	// Claim is our published claim, and Target the view that we work towards when that is another.
	Claim
	Target []string
	// Conflicts is the number of our partitions that another member claims, too; during a handoff that is normal.
	Conflicts int
	// Orphans is the number of partitions that no live member of our format claims.
	Orphans int
	// Disagreeing is the time for which orphans have existed, or live members of our format have had other views
	// than they should; 0 when all is well.
	Disagreeing time.Duration
	// Err says why no ring can be built from the members, nil otherwise.
	Err error
}

// Status returns the status at this moment. The caller must not change the Leases in it.
func (m *Machine) Status(now time.Duration) Status {
	s := Status{
		Partitions: m.all.rest.Len(),
		Owned:      m.owned.rest.Len(),
		Fenced:     m.Fenced(now),
		Settled:    m.settled,
		Conflicts:  m.conflicts.Len(),
		Orphans:    m.health.orphans,
		Err:        m.ringErr,
	}
	if m.joined {
		s.Claim = m.known.lease.clone()
	}
	if m.hasTarget && !sameView(m.target.View, s.View) {
		s.Target = slices.Clone(m.target.View)
	}
	if m.health.bad {
		s.Disagreeing = max(now-m.health.since, 1)
	}
	for _, member := range slices.Sorted(maps.Keys(m.leases)) {
		s.Members = append(s.Members, m.member(m.leases[member], now))
	}
	for _, g := range m.zombies {
		s.Members = append(s.Members, MemberStatus{
			Lease:     Lease{Member: g.member, UID: g.uid, Format: g.format},
			Phase:     Missing,
			Heartbeat: now - g.since,
			Claimed:   g.claim.rest.Len(),
		})
	}
	slices.SortStableFunc(s.Members, func(a, b MemberStatus) int { return strings.Compare(a.Lease.Member, b.Lease.Member) })
	return s
}

func (m *Machine) member(o *observed, now time.Duration) MemberStatus {
	s := MemberStatus{
		Lease:     o.lease,
		Phase:     Working,
		Heartbeat: now - o.changed,
		Claimed:   o.claim.rest.Len(),
		Stranger:  o.lease.Format != m.format,
		Self:      m.mine(&o.lease),
	}
	switch {
	case o.lease.State != Live:
		s.Phase = Gone
	case s.Heartbeat >= m.t.RenewDeadline:
		s.Phase = Silent
	case len(o.lease.View) == 0:
		s.Phase = Waiting
	}
	return s
}

// Strangers returns the live members of other formats, by name.
func (m *Machine) Strangers() []string {
	var names []string
	for member, o := range m.leases {
		if o.lease.State == Live && o.lease.Format != m.format {
			names = append(names, member)
		}
	}
	slices.Sort(names)
	return names
}

// Seen returns the version up to which we have seen all Leases.
func (m *Machine) Seen() uint64 { return m.seen }

// Joined tells whether we have a live Lease, as far as we know.
func (m *Machine) Joined() bool { return m.joined }

// WaitsForName tells whether another pod holds the Lease under our name.
func (m *Machine) WaitsForName() bool {
	l := &m.known.lease
	return m.known.present && l.State == Live && l.UID != m.self.UID
}

// View returns the view that we have published, as far as we know. The caller must not change it.
func (m *Machine) View() []string {
	if !m.joined {
		return nil
	}
	return m.known.lease.View
}

// Retrying tells whether our last write has not succeeded.
func (m *Machine) Retrying() bool { return m.retryAt != 0 }

// Moving tells whether a change of the ring is under way for us. Then we are about to publish a new view, or may
// not yet send for our whole share.
func (m *Machine) Moving() bool {
	if !m.joined {
		return false
	}
	claim := &m.known.lease.Claim
	return m.isPending || m.hasTarget && !sameView(m.target.View, claim.View) || !m.owned.rest.Equal(m.area(claim).rest)
}

// Stalled tells whether our renewals succeed, but the watch has not shown them for a whole lease duration. That
// is as safe as ever, but we see no member come or go: the watch should be begun anew.
func (m *Machine) Stalled(now time.Duration) bool {
	if !m.joined || m.Fenced(now) {
		return false
	}
	last := max(m.continuous, m.joinedAt)
	if own := m.leases[m.self.Member]; own != nil {
		last = max(last, own.changed)
	}
	return now >= last+m.t.LeaseDuration
}

// Claimants returns the members that claim an object, by name, as far as we have seen. owner is the member that
// has taken the object or should own it by our view, and "" when we have no view.
func (m *Machine) Claimants(k Kind, namespace string, partition int) (owner string, claimants []string) {
	if m.joined && len(m.known.lease.View) > 0 {
		if r, err := m.cache.ring(m.known.lease.View); err == nil {
			owner = r.Owner(partition)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(m.leases)) {
		o := m.leases[member]
		if !o.claim.Has(k, namespace, partition) {
			continue
		}
		claimants = append(claimants, member)
		if slices.ContainsFunc(o.lease.Takes, func(p Part) bool { return p.Kind == k && p.Covers(namespace) }) {
			owner = member
		}
	}
	return owner, claimants
}

// Gains are the objects and partitions that have become ours.
type Gains struct {
	// All is the whole gain. Crashed is the part of it that was claimed, since we last had it, by a member that
	// crashed. The requests that this member had in flight have an unknown outcome.
	All, Crashed Area
}

// TakeGains returns the gains since the last call that are still ours.
func (m *Machine) TakeGains() Gains {
	g := Gains{All: m.gains.All.And(m.owned), Crashed: m.gains.Crashed.And(m.owned)}
	m.gains = Gains{Crashed: m.gains.Crashed.Minus(m.owned)} // A part that was lost again keeps the mark of the crash.
	return g
}

// health tells whether all members of our format share one view and leave no partition out.
type health struct {
	orphans int
	bad     bool
	since   time.Duration
}

func (h *health) update(m *Machine, now time.Duration) {
	var live []string
	var claimed Area
	agreed := true
	for member, o := range m.leases {
		if o.lease.State == Live && o.lease.Format == m.format {
			live = append(live, member)
			claimed = claimed.Plus(o.claim)
		}
	}
	slices.Sort(live)
	for _, member := range live {
		agreed = agreed && sameView(m.leases[member].lease.View, live)
	}
	h.orphans = m.all.rest.minus(claimed.least()).Len()
	bad := h.orphans > 0 || !agreed
	if bad && !h.bad {
		h.since = now
	}
	h.bad = bad
}
