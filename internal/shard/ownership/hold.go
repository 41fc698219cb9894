package ownership

import "time"

// Hold makes us wait before we join for the first time, as long as other members do the work. A member that owns
// partitions before it knows the cluster delivers none of their objects meanwhile. Hold must be called before the
// first input.
func (m *Machine) Hold() { m.held = true }

// Proceed ends the hold.
func (m *Machine) Proceed(now time.Duration) {
	m.held = false
	m.update(now)
}

// Holding tells whether [Machine.Hold] keeps us from joining. A Lease that has not changed for the lease duration
// does not hold us: its member is dead, and only members may mark it so.
func (m *Machine) Holding(now time.Duration) bool {
	if !m.held || m.joined {
		return false
	}
	for member, o := range m.leases {
		if member != m.self.Member && o.lease.State == Live && now-o.changed < m.t.LeaseDuration {
			return true
		}
	}
	return false
}
