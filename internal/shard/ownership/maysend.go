package ownership

import "time"

// This file decides whether an object may be sent: our claim, published and seen published, less all other
// claims, while our Lease is young enough. docs/design/0001-claims-in-leases.md proves that no two members may
// send an object at once.

// MaySend tells whether a request for an object of a kind, in a namespace and a partition, may begin at this
// moment.
func (m *Machine) MaySend(k Kind, namespace string, partition int, now time.Duration) bool {
	return m.owned.Has(k, namespace, partition) && !m.Fenced(now)
}

// Fenced tells whether our last successful renewal began too long ago for any request: from then on a peer may
// find us dead. Requests in flight have to be cancelled.
func (m *Machine) Fenced(now time.Duration) bool {
	if m.off == ruleFence {
		return false
	}
	return !m.hasRenewed || now >= m.renewed+m.t.RenewDeadline
}

// FencedAt returns when the fence falls if no renewal succeeds until then; 0 when it has fallen for good.
func (m *Machine) FencedAt() time.Duration {
	if !m.hasRenewed {
		return 0
	}
	return m.renewed + m.t.RenewDeadline
}

// Claimed returns the area of our published claim, and everything while we have no Lease. Objects outside it are
// another member's.
func (m *Machine) Claimed() Area {
	if !m.joined {
		return m.all
	}
	return m.area(&m.known.lease.Claim)
}

// Owned returns the area for which we may send while not fenced.
func (m *Machine) Owned() Area { return m.owned }

// refresh computes the area for which we may send.
func (m *Machine) refresh(time.Duration) {
	granted, others := m.granted(), m.others()
	m.conflicts = granted.rest.and(others.rest)
	if m.off != ruleOthers {
		granted = granted.Minus(others)
	}
	if !m.settled {
		granted = granted.And(m.owned)
	}
	if begun := granted.Minus(m.owned); !begun.Empty() {
		m.gains.All = m.gains.All.Plus(begun)
		m.gains.Crashed = m.gains.Crashed.Plus(begun.And(m.crashed))
		m.crashed = m.crashed.Minus(begun)
	}
	m.owned = granted
}

// granted returns the area that we have published, have seen published, and are not about to give away.
func (m *Machine) granted() Area {
	if !m.joined || m.leaving {
		return Area{}
	}
	granted := m.area(&m.known.lease.Claim)
	if m.off != ruleObserve {
		o := m.leases[m.self.Member]
		if o == nil || !m.mine(&o.lease) || o.lease.State != Live {
			return Area{}
		}
		granted = granted.And(m.area(&o.lease.Claim))
	}
	for i := range m.maybe {
		granted = granted.And(m.area(&m.maybe[i].claim))
	}
	if m.hasTarget {
		granted = granted.And(m.area(&m.target))
	}
	return granted
}

// area returns the area of one of our claims. A claim from which no ring can be built covers nothing.
func (m *Machine) area(c *Claim) Area {
	a, err := m.cache.area(c, m.self.Member)
	if err != nil {
		return Area{}
	}
	return a
}

// others returns the area that other members claim, or for which they may still be sending.
func (m *Machine) others() Area {
	var claimed Area
	for _, o := range m.leases {
		if m.mine(&o.lease) {
			continue
		}
		claim := o.claim
		if m.off == ruleYields {
			for _, p := range m.known.lease.Takes {
				claim = claim.with(p, Set{})
			}
		}
		claimed = claimed.Plus(claim)
	}
	for _, g := range m.zombies {
		claimed = claimed.Plus(g.claim)
	}
	return claimed
}
