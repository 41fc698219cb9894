package ownership

import (
	"slices"
	"time"
)

// Write is one write of our own Lease. At most one is under way at any time.
type Write struct {
	// Lease is the Lease to write; its Version means nothing.
	Lease Lease
	// Base is the version that the Lease must have; 0 means that no Lease may exist.
	Base uint64
	// Begun is when the write began; the fence is counted from it.
	Begun time.Duration
}

// Outcome is the result of a write.
type Outcome uint8

const (
	// Succeeded is a write that the server answered with the new version.
	Succeeded Outcome = iota
	// Conflicted is a write that the server refused because the Lease had another version, was absent or existed.
	Conflicted
	// Unknown is a write without an answer, or with an answer that leaves open whether it was or may yet be applied.
	Unknown
)

// BeginWrite returns the write of our own Lease that is due, if one is. The caller must perform it and then call
// EndWrite.
func (m *Machine) BeginWrite(now time.Duration) (Write, bool) {
	if m.writing != nil || now < m.retryAt {
		return Write{}, false
	}
	l, base, ok := m.dueWrite(now)
	if !ok {
		return Write{}, false
	}
	if !l.same(&m.composed) { // A number never stands for two claims, even when the write before may have failed.
		m.composed = l.Claim
		m.claims++
	}
	l.Publication = m.claims
	m.writing = &Write{Lease: l, Base: base, Begun: now}
	m.maybe = append(m.maybe, maybeClaim{base: base, claim: l.Claim})
	m.again = false
	m.refresh(now)
	return *m.writing, true
}

// EndWrite takes the outcome of the write; version is the new version of the Lease when it succeeded.
func (m *Machine) EndWrite(o Outcome, version uint64, now time.Duration) {
	w := m.writing
	m.writing = nil
	if w == nil {
		return
	}
	if o != Succeeded {
		// Even a conflict does not prove that the write was not applied: a proxy or the client may have sent it twice.
		// The write can certainly not be applied once the Lease has another version.
		m.retryAt = now + m.t.retry()
		m.again = true
		m.update(now)
		return
	}
	m.retryAt = 0
	w.Lease.Version = version
	for i := range m.maybe {
		if m.maybe[i].base == w.Base && m.maybe[i].version == 0 && m.maybe[i].claim.same(&w.Lease.Claim) {
			m.maybe[i].version = version
		}
	}
	if w.Lease.Incarnation == m.incarnation() { // Otherwise we have learned meanwhile that this stay has ended.
		if was := m.joined; m.learn(&w.Lease) && !was {
			m.joinedAt = w.Begun
		}
		if m.joined || m.leaving {
			m.written = w.Lease
			if w.Lease.Vouches {
				m.vouched = max(m.vouched, w.Lease.Seen)
			}
			m.renewed, m.hasRenewed = w.Begun, true
		}
	}
	if o := m.leases[m.self.Member]; o != nil {
		m.resolve(o.lease.Version)
	}
	m.update(now)
}

// Reread takes our own Lease as the server shows it, not a cache; nil means that there is none. It is read after
// a write of it went wrong and before the next write begins. Correctness does not need it: it anticipates the
// watch, and keeps us renewing while the watch is broken.
func (m *Machine) Reread(l *Lease, now time.Duration) {
	switch {
	case m.writing != nil:
		return
	case l == nil:
		m.learnAbsent(m.known.version)
		m.retryAt = 0
	case l.Version > m.known.version, l.Version == m.known.version && !m.known.present:
		m.learn(l)
		m.resolveUnknown(l.Version)
		if m.joined {
			m.maybe = append(m.maybe, maybeClaim{version: l.Version, claim: l.Claim})
		}
		m.retryAt = 0
	}
	m.update(now)
}

// resolve forgets the claims of writes that the watch has shown, and of those that cannot be applied because the
// watch has shown a later state.
func (m *Machine) resolve(shown uint64) {
	m.maybe = slices.DeleteFunc(m.maybe, func(v maybeClaim) bool {
		return v.version != 0 && v.version <= shown
	})
	m.resolveUnknown(shown)
}

func (m *Machine) resolveUnknown(version uint64) {
	m.maybe = slices.DeleteFunc(m.maybe, func(v maybeClaim) bool { return v.version == 0 && v.base < version })
}

// dueWrite returns the Lease that is due to be written.
func (m *Machine) dueWrite(now time.Duration) (l Lease, base uint64, ok bool) {
	if !m.synced {
		return Lease{}, 0, false
	}
	if !m.joined {
		return m.dueJoin(now)
	}
	claim := m.known.lease.Claim
	switch {
	case m.leaving:
		if m.drained != m.drainToken {
			return m.compose(claim), m.known.version, !m.hasRenewed || now >= m.renewed+m.t.RenewInterval
		}
		return m.farewell(), m.known.version, true
	case m.hasTarget && (m.drained == m.drainToken || m.off == ruleDrain || m.off == ruleYieldDrain && sameView(m.target.View, claim.View)):
		return m.compose(m.target), m.known.version, true
	case !m.hasRenewed, now >= m.renewed+m.t.RenewInterval, m.asked(), m.again, m.sole() != m.written.Sole:
		return m.compose(claim), m.known.version, true
	}
	return Lease{}, 0, false
}

// dueJoin takes over the Lease under our name as soon as no process can be sending under it, or creates it.
func (m *Machine) dueJoin(now time.Duration) (l Lease, base uint64, ok bool) {
	if m.leaving || m.rejoining && m.drained != m.drainToken {
		return Lease{}, 0, false
	}
	if m.Holding(now) {
		return Lease{}, 0, false
	}
	old := &m.known.lease
	if m.known.present && old.State == Live && old.UID != m.self.UID {
		return Lease{}, 0, false // Another pod has our name, until it is found dead.
	}
	claim, err := m.desired()
	if err != nil {
		claim = Claim{}
	}
	if !m.known.present {
		m.resumes = false
		return m.compose(claim), 0, true
	}
	m.resumes = old.residual() && (old.State == Released || old.State == Live)
	return m.compose(claim), m.known.version, true
}

// compose returns our Lease in the form in which it is written with a claim.
func (m *Machine) compose(claim Claim) Lease {
	return Lease{
		Member:      m.self.Member,
		UID:         m.self.UID,
		Incarnation: m.incarnation(),
		State:       Live,
		Format:      m.format,
		Claim:       claim.clone(),
		Seen:        m.seen,
		Since:       m.since,
		Vouches:     m.vouches(),
		Sole:        m.sole() && claim.same(&m.known.lease.Claim),
	}
}

// farewell returns our Lease in its released form. A member that was alone leaves its claim behind, a residual
// one, so that the next process under the name can continue without waiting.
func (m *Machine) farewell() Lease {
	var claim Claim
	if m.leaveSole {
		claim.View = m.known.lease.View
	}
	l := m.compose(claim)
	l.State, l.Sole = Released, m.leaveSole
	return l
}

// vouches tells whether we know that no member can be sending whose Lease had vanished up to the version we have
// seen.
func (m *Machine) vouches() bool { return m.settled && len(m.zombies) == 0 }

// asked tells whether another member waits for our assurance that no hidden member is sending, and we can give
// it.
func (m *Machine) asked() bool {
	if !m.vouches() {
		return false
	}
	for _, o := range m.leases {
		l := &o.lease
		if l.State == Live && !m.mine(l) && !l.Vouches && l.Since > m.vouched && m.seen >= l.Since {
			return true
		}
	}
	return false
}

// sole tells whether we may send for every partition of the ring.
func (m *Machine) sole() bool {
	return m.joined && m.vouches() && m.all.Minus(m.owned).Empty() && len(m.known.lease.View) == 1
}
