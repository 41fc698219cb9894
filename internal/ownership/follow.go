package ownership

import (
	"slices"
	"time"
)

// update draws all conclusions. It is called at the end of every input.
func (m *Machine) update(now time.Duration) {
	if !m.synced {
		return
	}
	m.ghosts = slices.DeleteFunc(m.ghosts, func(g ghost) bool { return now-g.since >= m.t.LeaseDuration })
	if now-m.continuous >= m.t.LeaseDuration || m.rules.noSeason {
		// Whose Lease had vanished before our list had last renewed it before that, and is fenced by now.
		m.settled = true
	}
	m.steer(now)
	m.refresh(now)
	m.health.update(m, now)
	m.cache.prune()
}

// desired returns the view that the members as we see them call for: all that are live or may be, of our ring format.
// While members of another format claim anything we claim nothing, so that a format takes over as a whole when the
// last member of the other is gone; if both began at once, the greater format goes on. It fails when no ring can be
// built from the members.
func (m *Machine) desired() ([]string, error) {
	view := []string{m.self.Member}
	claiming := m.joined && len(m.known.lease.View) > 0
	for member, o := range m.leases {
		l := &o.lease
		switch {
		case member == m.self.Member || l.State == Dead:
		case l.Format == m.format:
			if l.State == Live {
				view = append(view, member)
			}
		case l.claims() && (!claiming || l.Format > m.format):
			return nil, nil
		}
	}
	for _, g := range m.ghosts {
		if g.format == m.format && !slices.Contains(view, g.member) {
			view = append(view, g.member)
		}
	}
	slices.Sort(view)
	_, err := m.cache.ring(view)
	return view, err
}

// steer decides which view to work towards. A new one is aimed at when the members have kept still for a while; from
// then on nothing is begun that it gives to others, and it is published when what was in flight has ended.
func (m *Machine) steer(now time.Duration) {
	m.ringErr = nil
	if !m.joined || m.leaving { // what was asked to drain then has nothing to do with a target
		m.hasTarget, m.isPending = false, false
		return
	}
	ours := m.known.lease.View
	if m.hasTarget && sameView(m.target, ours) {
		m.hasTarget = false
	}
	want, err := m.desired()
	if err != nil { // more members than a ring takes: better the old view than none
		m.ringErr = err
		return
	}
	if sameView(want, ours) {
		if m.hasTarget { // nothing has to end any more
			m.hasTarget, m.drained = false, m.drainToken
		}
		m.isPending = false
		return
	}
	if m.hasTarget && sameView(want, m.target) {
		return
	}
	if !m.isPending {
		m.isPending, m.pendingHead, m.pending = true, now, ""
	}
	if key := viewKey(want); key != m.pending {
		m.pending, m.pendingFrom = key, now
	}
	if now >= m.steerAt() || len(ours) == 0 {
		m.target, m.hasTarget = want, true
		m.isPending = false
		m.drainToken++
	}
}

// steerAt is when the pending view is aimed at.
func (m *Machine) steerAt() time.Duration {
	return min(m.pendingFrom+m.t.Stability, m.pendingHead+m.t.MaxStability)
}

// refresh computes what we may send for.
func (m *Machine) refresh(time.Duration) {
	granted, others := m.granted(), m.others()
	m.conflicts = granted.minus(granted.minus(others))
	if !m.rules.noOthers {
		granted.remove(others)
	}
	if !m.settled {
		granted.keep(m.owned)
	}
	m.lostCount += m.owned.minus(granted).Len()
	for p := range granted.minus(m.owned).All() {
		if m.gains[p] != Crash { // still to be taken, from an earlier gain
			m.gains[p] = m.ended[p]
		}
		m.ended[p] = Handoff
	}
	m.owned = granted
}

// granted returns what we have published, seen published, and are not about to give away.
func (m *Machine) granted() Set {
	granted := newSet(len(m.ended))
	if !m.joined || m.leaving {
		return granted
	}
	base := m.known.lease.View
	if !m.rules.noObserve {
		o := m.leases[m.self.Member]
		if o == nil || !m.mine(&o.lease) || o.lease.State != Live {
			return granted
		}
		base = o.lease.View
	}
	granted.include(m.share(base))
	granted.keep(m.share(m.known.lease.View))
	for _, v := range m.maybe {
		granted.keep(m.share(v.view))
	}
	if m.hasTarget {
		granted.keep(m.share(m.target))
	}
	return granted
}

// share returns our own partitions under a view. A view from which no ring can be built gives us none.
func (m *Machine) share(view []string) Set {
	if len(view) == 0 {
		return Set{}
	}
	if _, err := m.cache.ring(view); err != nil {
		return Set{}
	}
	return m.cache.share(view, m.self.Member)
}

// others returns what anybody else claims or may still be sending for.
func (m *Machine) others() Set {
	claimed := newSet(len(m.ended))
	for _, o := range m.leases {
		if !m.mine(&o.lease) {
			claimed.include(m.cache.of(&o.lease))
		}
	}
	for _, g := range m.ghosts {
		claimed.include(g.claim)
	}
	return claimed
}

// Drain is a request to let requests in flight end.
type Drain struct {
	// Token is to be handed to [Machine.Drained].
	Token uint64
	// Kept are the partitions that go on; requests for all others have to end.
	Kept Set
}

// Drain returns what has to end before we can go on, if anything has. [Machine.MaySend] has been false for it since
// the call that asked for it.
func (m *Machine) Drain() (Drain, bool) {
	if m.drained == m.drainToken {
		return Drain{}, false
	}
	d := Drain{Token: m.drainToken}
	if m.hasTarget && m.joined {
		d.Kept = m.share(m.target)
	}
	return d, true
}

// Drained says that a drain is done: nothing is in flight for partitions outside of what it kept.
func (m *Machine) Drained(token uint64, now time.Duration) {
	if token != m.drainToken || m.drained == token {
		return
	}
	m.drained = token
	m.rejoining = false
	m.update(now)
}

// MaySend tells whether a request for the partition may be begun now.
func (m *Machine) MaySend(partition int, now time.Duration) bool {
	return m.owned.Has(partition) && !m.Fenced(now)
}

// Fenced tells whether our last successful renewal began too long ago for anything to be sent: from then on somebody
// may find us dead. Requests in flight have to be cancelled.
func (m *Machine) Fenced(now time.Duration) bool {
	if m.rules.noFence {
		return false
	}
	return !m.hasRenewed || now >= m.renewed+m.t.RenewDeadline
}

// FencedAt returns when the fence falls if nothing is renewed until then; 0 when it has fallen for good.
func (m *Machine) FencedAt() time.Duration {
	if !m.hasRenewed {
		return 0
	}
	return m.renewed + m.t.RenewDeadline
}

// Owned returns the partitions that we may send for while not fenced.
func (m *Machine) Owned() Set { return m.owned }

// Wake returns when [Machine.Tick] has to be called, or a write or a retirement becomes due, if nothing happens before.
func (m *Machine) Wake(now time.Duration) time.Duration {
	wake := now + m.t.RenewInterval
	at := func(t time.Duration) {
		if t > now {
			wake = min(wake, t)
		}
	}
	at(m.retryAt)
	at(m.renewed + m.t.RenewInterval)
	at(m.FencedAt())
	at(m.continuous + m.t.LeaseDuration)
	if m.isPending {
		at(m.steerAt())
	}
	for _, g := range m.ghosts {
		at(g.since + m.t.LeaseDuration)
	}
	for _, o := range m.leases {
		at(o.changed + m.t.LeaseDuration)
		at(o.attempt + m.t.RenewInterval)
	}
	return wake
}
