package ownership

import (
	"maps"
	"time"
)

// SetNote makes something known in our Lease, at once; an empty value takes it back.
func (m *Machine) SetNote(key, value string, now time.Duration) {
	if m.notes[key] == value {
		return
	}
	m.notes = maps.Clone(m.notes)
	if value == "" {
		delete(m.notes, key)
	} else {
		m.notes[key] = value
	}
	m.newNotes = true
	m.update(now)
}

// Acknowledged tells whether our Lease has the notes as they are, and every live member had seen it when that member
// last wrote. Members answer new notes at once.
func (m *Machine) Acknowledged() bool {
	if !m.joined || m.newNotes || m.written.Incarnation != m.incarnation() || !maps.Equal(m.written.Notes, m.notes) {
		return false
	}
	for _, o := range m.leases {
		if o.lease.State == Live && !m.mine(&o.lease) && o.lease.Seen < m.noted {
			return false
		}
	}
	return true
}

// read looks at the notes of a Lease that was seen. Whoever writes new ones waits until all have seen them, so they are
// answered by a write of our own: one for each member and change of notes.
func (m *Machine) read(before, after *Lease) {
	if len(before.Notes) == 0 && len(after.Notes) == 0 {
		return
	}
	same := before.State == after.State && before.Incarnation == after.Incarnation && maps.Equal(before.Notes, after.Notes)
	if same {
		return
	}
	m.heard++
	if after.State == Live && !m.mine(after) && len(after.Notes) > 0 {
		m.answer = true
	}
}

// Notice is what one stay in the ring makes known.
type Notice struct {
	// Member and Incarnation name the stay.
	Member, Incarnation string
	// Notes are its notes, if any. They must not be changed.
	Notes map[string]string
}

// Notices returns all live members as last seen, ourselves among them, with their notes, in no order.
func (m *Machine) Notices() []Notice {
	var all []Notice
	for _, o := range m.leases {
		if l := &o.lease; l.State == Live {
			all = append(all, Notice{Member: l.Member, Incarnation: l.Incarnation, Notes: l.Notes})
		}
	}
	return all
}

// Heard changes whenever Notices may have.
func (m *Machine) Heard() uint64 { return m.heard }

// Incarnation names this stay in the ring; it is another one after the Lease was lost.
func (m *Machine) Incarnation() string { return m.incarnation() }
