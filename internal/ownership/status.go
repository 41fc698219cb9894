package ownership

import (
	"maps"
	"slices"
	"strings"
	"time"
)

// Cause says how a partition came to us, as far as it was seen.
type Cause uint8

const (
	// Handoff is a partition that a live member gave up, or one that nobody had.
	Handoff Cause = iota
	// Leave is a partition whose owner has left in good order.
	Leave
	// Crash is a partition that was, at some time since we last had it, claimed by a member that ended without a word.
	// What it had in flight has an unknown outcome.
	Crash
)

// String returns the cause as metrics and logs carry it.
func (c Cause) String() string { return [...]string{"handoff", "leave", "crash"}[c] }

// Phase is what a member looks like to another.
type Phase uint8

const (
	// Waiting is a member without a claim: it has no Lease yet, waits for its name, or for a member of another format.
	Waiting Phase = iota
	// Working is a live member with a claim.
	Working
	// Silent is a live member whose renewals have not been seen for longer than the renew deadline.
	Silent
	// Missing is a member whose Lease was deleted while it was live. It is waited for like a silent one.
	Missing
	// Gone is a member that has released its Lease or was found dead.
	Gone
)

// String returns the phase for people and for the API.
func (p Phase) String() string {
	return [...]string{"waiting", "working", "silent", "missing", "gone"}[p]
}

// MemberStatus is what is known of one member.
type MemberStatus struct {
	// Lease is what it published last. A missing member has only a name, a UID and a format.
	Lease Lease
	// Phase is what it looks like.
	Phase Phase
	// Heartbeat is how long ago its Lease was last seen to change.
	Heartbeat time.Duration
	// Claimed is how many partitions it claims; all of them when its claim cannot be read.
	Claimed int
	// Self tells that this is us.
	Self bool
}

// Status is what is known of the ring at one moment.
type Status struct {
	// Members are all members with a Lease, and the missing ones, by name.
	Members []MemberStatus
	// Partitions is how many there are, and Owned how many of them we may send for.
	Partitions, Owned int
	// Fenced tells that we may send nothing because our Lease could not be renewed.
	Fenced bool
	// Settled tells that we may begin with partitions that we had not before.
	Settled bool
	// View is what we have published, and Target what we work towards when that is something else.
	View, Target []string
	// Conflicts is how many of our partitions somebody else claims, too; during a handoff that is normal.
	Conflicts int
	// Orphans is how many partitions no live member of our format claims.
	Orphans int
	// Disagreeing is since how long orphans exist, or live members of our format have other views than they should; 0
	// when all is well.
	Disagreeing time.Duration
	// Err is why no ring can be built from the members, nil otherwise.
	Err error
}

// Status returns what is known now. The caller must not change the Leases in it.
func (m *Machine) Status(now time.Duration) Status {
	s := Status{
		Partitions: len(m.ended),
		Owned:      m.owned.Len(),
		Fenced:     m.Fenced(now),
		Settled:    m.settled,
		Conflicts:  m.conflicts.Len(),
		Orphans:    m.health.orphans,
		Err:        m.ringErr,
	}
	if m.joined {
		s.View = slices.Clone(m.known.lease.View)
	}
	if m.hasTarget {
		s.Target = slices.Clone(m.target)
	}
	if m.health.bad {
		s.Disagreeing = max(now-m.health.since, 1)
	}
	for _, member := range slices.Sorted(maps.Keys(m.leases)) {
		s.Members = append(s.Members, m.member(m.leases[member], now))
	}
	for _, g := range m.ghosts {
		s.Members = append(s.Members, MemberStatus{
			Lease:     Lease{Member: g.member, UID: g.uid, Format: g.format},
			Phase:     Missing,
			Heartbeat: now - g.since,
			Claimed:   g.claim.Len(),
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
		Claimed:   m.cache.of(&o.lease).Len(),
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

// Seen returns the version up to which we have seen all Leases.
func (m *Machine) Seen() uint64 { return m.seen }

// Joined tells whether we have a live Lease, as far as we know.
func (m *Machine) Joined() bool { return m.joined }

// WaitsForName tells whether another pod holds the Lease under our name.
func (m *Machine) WaitsForName() bool {
	l := &m.known.lease
	return m.known.present && l.State == Live && l.UID != m.self.UID
}

// View returns what we have published, as far as we know. The caller must not change it.
func (m *Machine) View() []string {
	if !m.joined {
		return nil
	}
	return m.known.lease.View
}

// Retrying tells whether our last write has not succeeded.
func (m *Machine) Retrying() bool { return m.retryAt != 0 }

// Moving tells whether a change of the ring is under way for us: we are about to publish a new view, or may not send
// yet for all that our view gives to us.
func (m *Machine) Moving() bool {
	return m.joined && (m.hasTarget || m.isPending || !m.owned.Equal(m.share(m.known.lease.View)))
}

// Stalled tells whether our renewals succeed but have not been coming back through the watch for a whole lease
// duration. That is as safe as ever, but we see nobody come or go: the watch should be begun anew.
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

// Claimants returns who claims the partition, as far as we have seen, by name, and who should own it by our view; ""
// when we have none.
func (m *Machine) Claimants(partition int) (owner string, claimants []string) {
	if m.joined && len(m.known.lease.View) > 0 {
		if r, err := m.cache.ring(m.known.lease.View); err == nil {
			owner = r.Owner(partition)
		}
	}
	for _, member := range slices.Sorted(maps.Keys(m.leases)) {
		if m.cache.of(&m.leases[member].lease).Has(partition) {
			claimants = append(claimants, member)
		}
	}
	return owner, claimants
}

// Gain is a partition that has become ours.
type Gain struct {
	Partition int
	Cause     Cause
}

// TakeGains returns the partitions gained since the last call that are still ours, ascending. One that was lost and
// gained again in between appears once, as a crash if it was one in any of these gains.
func (m *Machine) TakeGains() []Gain {
	var gains []Gain
	for _, p := range slices.Sorted(maps.Keys(m.gains)) {
		if m.owned.Has(p) {
			gains = append(gains, Gain{Partition: p, Cause: m.gains[p]})
			delete(m.gains, p)
		} else if m.gains[p] != Crash {
			delete(m.gains, p)
		}
	}
	return gains
}

// Losses returns how many partitions were lost since the machine was made.
func (m *Machine) Losses() int { return m.lostCount }

// health is whether all members of our format share one view and leave nothing out.
type health struct {
	orphans int
	bad     bool
	since   time.Duration
}

func (h *health) update(m *Machine, now time.Duration) {
	var live []string
	claimed, agreed := newSet(len(m.ended)), true
	for member, o := range m.leases {
		if o.lease.State == Live && o.lease.Format == m.format {
			live = append(live, member)
			claimed.include(m.cache.of(&o.lease))
		}
	}
	slices.Sort(live)
	for _, member := range live {
		agreed = agreed && sameView(m.leases[member].lease.View, live)
	}
	h.orphans = len(m.ended) - claimed.Len()
	bad := h.orphans > 0 || !agreed
	if bad && !h.bad {
		h.since = now
	}
	h.bad = bad
}
