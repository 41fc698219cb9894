package membership

import (
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
)

// Whoever gains a partition may know less than its former owner did: its watches may lag, or have stood still. What it
// would send then is older than what the receiver has. So a gain is only the right to prepare; with Options.Admission,
// MaySend stays false until those who send have caught up and say so.

// Gains returns the partitions that have become ours and wait to be admitted, ascending, and a token for [Membership.Admit].
// After a crash of their former owner, what that one had in flight has an unknown outcome: the last word has to be
// repeated for IDs that are taken over dirty. It has one caller.
func (m *Membership) Gains() (gains []ownership.Gain, token uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.machine.TakeGains() {
		if w, ok := m.gained[g.Partition]; ok && w.cause != ownership.Crash {
			w.cause = g.Cause
			m.gained[g.Partition] = w
		}
	}
	for _, p := range slices.Sorted(maps.Keys(m.gained)) {
		gains = append(gains, ownership.Gain{Partition: p, Cause: m.gained[p].cause})
	}
	return gains, m.gains
}

// Admit makes MaySend true for what had been gained when the token was given out, and has not been lost since.
func (m *Membership) Admit(token uint64) {
	m.do(func(time.Duration) {
		maps.DeleteFunc(m.gained, func(_ int, g gained) bool { return g.token <= token })
	})
}

// Holding tells whether we wait with joining until [Membership.Proceed] is called.
func (m *Membership) Holding() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.machine.Holding(m.opts.Now())
}

// Proceed lets us join; see Options.Hold.
func (m *Membership) Proceed() { m.do(m.machine.Proceed) }

// admitted returns what of a set may be sent for, and notes what is new in it. The caller holds mu.
func (m *Membership) admitted(owned ownership.Set) ownership.Set {
	if !m.opts.Admission {
		return owned
	}
	if !owned.Equal(m.before) {
		m.gains++
		m.since = slices.Clone(m.since)
		if m.since == nil {
			m.since = make([]uint64, m.opts.Format.Partitions)
		}
		for p := range owned.All() {
			if !m.before.Has(p) {
				m.gained[p] = gained{token: m.gains}
				m.since[p] = m.machine.Seen()
			}
		}
		for p := range m.before.All() {
			if !owned.Has(p) {
				delete(m.gained, p)
			}
		}
		m.before = owned
	}
	if len(m.gained) == 0 {
		return owned
	}
	return owned.Without(maps.Keys(m.gained))
}
