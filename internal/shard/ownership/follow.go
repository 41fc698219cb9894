package ownership

import (
	"slices"
	"time"
)

// update draws all conclusions from an input. Every input ends with a call of it.
func (m *Machine) update(now time.Duration) {
	if !m.synced {
		return
	}
	m.zombies = slices.DeleteFunc(m.zombies, func(g zombie) bool { return now-g.since >= m.t.LeaseDuration })
	if now-m.continuous >= m.t.LeaseDuration || m.off == ruleSeason {
		// A member whose Lease had vanished before our list had renewed it before that, so it is fenced by this time.
		m.settled = true
	}
	m.steer(now)
	m.refresh(now)
	m.health.update(m, now)
	m.cache.prune()
}

// desired returns the claim that the members as we see them call for. It has a view of all members of our format
// that are live or may be. It has the parts that we are to take, and the parts that others take. While members of
// another format claim anything, we claim nothing. So a format takes over as a whole when the last member of the
// other is gone. If both formats began at once, the greater one goes on. desired fails when no ring can be built
// from the members.
func (m *Machine) desired() (Claim, error) {
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
			return Claim{}, nil
		}
	}
	for _, g := range m.zombies {
		if g.format == m.format && !slices.Contains(view, g.member) {
			view = append(view, g.member)
		}
	}
	slices.Sort(view)
	_, err := m.cache.ring(view)
	c := Claim{View: view, Takes: m.takes()}
	c.Yields = m.yields(c.Takes)
	return c, err
}

// takes returns the parts that we take, of those that we are asked to take. Requests are taken as a whole: if two
// members each held a part that the other waits for, neither would ever go on.
func (m *Machine) takes() []Part {
	var takes []Part
	for _, request := range m.wanted {
		if m.free(request) {
			takes = append(takes, request...)
		}
	}
	return sortParts(takes)
}

// free tells whether no other member takes any part of a request. If two members have begun at the same time,
// both know which of them goes on, and the other withdraws its whole request.
func (m *Machine) free(request []Part) bool {
	for _, p := range request {
		began := m.joined && slices.Contains(m.known.lease.Takes, p)
		for member, o := range m.leases {
			first := began && p.beats(m.self.Member, member)
			if !first && m.takesPart(&o.lease) && overlapsAny(p, o.lease.Takes) {
				return false
			}
		}
	}
	return true
}

// yields returns the parts that others take, except those that we have begun to take ourselves.
func (m *Machine) yields(ours []Part) []Part {
	var yields []Part
	for _, o := range m.leases {
		if !m.takesPart(&o.lease) {
			continue
		}
		for _, p := range o.lease.Takes {
			if !overlapsAny(p, ours) {
				yields = append(yields, p)
			}
		}
	}
	return sortParts(yields)
}

// takesPart tells whether a Lease is another member's that takes parts which we can read.
func (m *Machine) takesPart(l *Lease) bool {
	return l.State == Live && l.claims() && l.Format == m.format && !m.mine(l)
}

// steer decides which claim to work towards. We aim at another view when the members have kept still for a while,
// at parts at once. From then on we begin no request for the parts that the claim gives to others. We publish the
// claim when our requests in flight for those parts have ended.
func (m *Machine) steer(now time.Duration) {
	m.ringErr = nil
	if !m.joined || m.leaving { // A drain that was asked for then has nothing to do with a target.
		m.hasTarget, m.isPending = false, false
		return
	}
	ours := &m.known.lease.Claim
	if m.hasTarget && m.target.same(ours) {
		m.hasTarget = false
	}
	want, err := m.desired()
	if err != nil { // There are more members than a ring takes: better the old view than none.
		m.ringErr = err
		return
	}
	m.steerView(&want, ours, now)
	if want.same(ours) {
		if m.hasTarget { // No request has to end for this.
			m.hasTarget, m.drained = false, m.drainToken
		}
		return
	}
	if m.hasTarget && want.same(&m.target) {
		return
	}
	m.target, m.hasTarget = want, true
	m.drainToken++
	if m.area(ours).Minus(m.area(&want)).Empty() { // Requests in flight were begun under what we claim.
		m.drained = m.drainToken
	}
}

// steerView keeps the view that we have, or work towards, until the members have kept still.
func (m *Machine) steerView(want, ours *Claim, now time.Duration) {
	goal := ours.View
	if m.hasTarget {
		goal = m.target.View
	}
	switch {
	case sameView(want.View, ours.View):
		m.isPending = false
		return
	case m.hasTarget && sameView(want.View, goal):
		return
	case !m.isPending:
		m.isPending, m.pendingHead, m.pending = true, now, ""
	}
	if key := viewKey(want.View); key != m.pending {
		m.pending, m.pendingFrom = key, now
	}
	if now >= m.steerAt() || len(ours.View) == 0 {
		m.isPending = false
		return
	}
	want.View = goal
	if len(goal) == 0 {
		want.Takes, want.Yields = nil, nil
	}
}

// steerAt returns the time at which we aim at the pending view.
func (m *Machine) steerAt() time.Duration {
	return min(m.pendingFrom+m.t.Stability, m.pendingHead+m.t.MaxStability)
}

// Take asks for parts: from the call on, our claim is to have all partitions of them, and the others are to
// yield. The request ends with our stay in the ring.
func (m *Machine) Take(parts []Part, now time.Duration) {
	m.wanted = append(slices.Clone(m.wanted), slices.Clone(parts))
	m.update(now)
}

// Give gives parts back.
func (m *Machine) Give(parts []Part, now time.Duration) {
	var left [][]Part
	for _, request := range m.wanted {
		request = slices.DeleteFunc(slices.Clone(request), func(p Part) bool { return slices.Contains(parts, p) })
		if len(request) > 0 {
			left = append(left, request)
		}
	}
	m.wanted = left
	m.update(now)
}

// Wants tells whether we still ask for all of the parts, in this stay.
func (m *Machine) Wants(parts []Part) bool {
	wanted := slices.Concat(m.wanted...)
	return !slices.ContainsFunc(parts, func(p Part) bool { return !slices.Contains(wanted, p) })
}

// Took tells whether the watch has shown that we take all of the parts.
func (m *Machine) Took(parts []Part) bool {
	o := m.leases[m.self.Member]
	return o != nil && m.mine(&o.lease) && !slices.ContainsFunc(parts, func(p Part) bool { return !slices.Contains(o.lease.Takes, p) })
}

// Covers tells whether an area has all partitions of the parts.
func (m *Machine) Covers(a Area, parts []Part) bool {
	return !slices.ContainsFunc(parts, func(p Part) bool { return !a.covers(p, m.all.rest) })
}

// Drain is a request to let requests in flight end.
type Drain struct {
	// Token is the argument for [Machine.Drained].
	Token uint64
	// Lost is the area that is given away: requests for it have to end.
	Lost Area
}

// Drain returns the requests that have to end before we can go on, if there are any. [Machine.MaySend] has been
// false for them since the call that asked for the drain.
func (m *Machine) Drain() (Drain, bool) {
	if m.drained == m.drainToken {
		return Drain{}, false
	}
	d := Drain{Token: m.drainToken, Lost: m.all}
	if m.hasTarget && m.joined { // Requests in flight were begun under what we claim.
		d.Lost = m.area(&m.known.lease.Claim).Minus(m.area(&m.target))
	}
	return d, true
}

// Drained says that a drain is done: no request is in flight for the lost area.
func (m *Machine) Drained(token uint64, now time.Duration) {
	if token != m.drainToken || m.drained == token {
		return
	}
	m.drained = token
	m.rejoining = false
	m.update(now)
}

// Wake returns when [Machine.Tick] has to be called, or when a write or a retirement becomes due, if no input
// comes before.
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
	for _, g := range m.zombies {
		at(g.since + m.t.LeaseDuration)
	}
	for _, o := range m.leases {
		at(o.changed + m.t.LeaseDuration)
		at(o.attempt + m.t.RenewInterval)
	}
	return wake
}
