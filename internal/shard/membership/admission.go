package membership

import (
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// A member that gains something may know less than its former owner did: its watches may lag, or have stood
// still. A state that it sent then would be older than the state that the receiver has. So a gain is only the
// right to prepare. With Options.Admission, MaySend stays false until the senders have caught up and say so.

// admission tells which part of our area is admitted. It is guarded by Membership.mu.
type admission struct {
	owned   ownership.Area // as last seen
	waiting []waiting      // gains that are not admitted yet
	crashed ownership.Area // the part of the gains that was a crashed member's
	gains   uint64         // how many gains there have been
	since   since
}

// waiting is the area of one gain that is not admitted yet.
type waiting struct {
	token uint64
	area  ownership.Area
}

// Gains returns the gains that wait to be admitted, and a token for [Membership.Admit]. It has one caller.
func (m *Membership) Gains() (gains ownership.Gains, token uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := &m.admission
	for _, w := range a.waiting {
		gains.All = gains.All.Plus(w.area)
	}
	a.crashed = a.crashed.Plus(m.machine.TakeGains().Crashed).And(gains.All)
	gains.Crashed = a.crashed
	return gains, a.gains
}

// Admit makes MaySend true for what had been gained when Gains gave out the token, and has not been lost since.
func (m *Membership) Admit(token uint64) {
	m.do(func(time.Duration) {
		m.admission.waiting = slices.DeleteFunc(m.admission.waiting, func(w waiting) bool { return w.token <= token })
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

// of returns the admitted part of an area, and notes its new part, at a version of the Leases.
func (a *admission) of(owned ownership.Area, version uint64, partitions int) ownership.Area {
	if begun := owned.Minus(a.owned); !begun.Empty() {
		a.gains++
		a.waiting = append(a.waiting, waiting{a.gains, begun})
		a.since = a.since.after(begun, version, partitions)
	}
	a.owned = owned
	left := a.waiting[:0]
	granted := owned
	for _, w := range a.waiting {
		if w.area = w.area.And(owned); !w.area.Empty() {
			left = append(left, w)
			granted = granted.Minus(w.area)
		}
	}
	a.waiting = left
	return granted
}

// since holds the versions of the Leases at which partitions and kinds were last gained. It is immutable.
type since struct {
	partitions []uint64 // nil before the first gain
	kinds      map[ownership.Kind]uint64
}

// after returns since with a gain at a version added. A kind of which only a part was gained counts as gained
// whole.
func (s since) after(gained ownership.Area, version uint64, partitions int) since {
	next := since{slices.Clone(s.partitions), maps.Clone(s.kinds)}
	if next.partitions == nil {
		next = since{make([]uint64, partitions), make(map[ownership.Kind]uint64)}
	}
	for p := range gained.Rest().All() {
		next.partitions[p] = version
	}
	for k := range gained.Kinds() {
		next.kinds[k] = version
	}
	return next
}

func (s since) of(k ownership.Kind, partition int) uint64 {
	if partition >= len(s.partitions) {
		return 0
	}
	return max(s.partitions[partition], s.kinds[k])
}
