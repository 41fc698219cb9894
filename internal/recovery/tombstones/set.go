package tombstones

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
)

const (
	// nameAfter is how long this member keeps a deletion that another member has to send before it names it as
	// open: the owner's next checkpoint names most of them as delivered.
	nameAfter = 10 * time.Second
	// nameFor is how long a delivered deletion is named: several times the pace of checkpoints.
	nameFor = 3 * time.Minute
	// crowded is the number of waiting names at which the next checkpoint is due at once.
	crowded = checkpoint.MaxDelivered / 4
)

// Kept is a tombstone that this member keeps.
type Kept struct {
	checkpoint.Tombstone
	// Ours tells that this member has to send the deletion, Found that no member watched it but a search found
	// it.
	Ours, Found bool
	// Since is when this member saw it.
	Since time.Time
}

// Peers returns the tombstones that the other members name; [checkpoint.Ledger] implements it.
type Peers interface {
	Lists() map[string]checkpoint.List
	Delivered(name uint64) bool
}

// Answer is the result of an attempt to take an open tombstone.
type Answer uint8

const (
	// Later: the answer is not known yet, or another member owns the object.
	Later Answer = iota
	// Taken: its deletion is on its way, and will be named as delivered.
	Taken
	// Settled: there is nothing to do. Its object exists again, or cannot be an object of this receiver.
	Settled
	// Proven: an object that was said to live is gone.
	Proven
)

// Set holds the tombstones of one target. Create it with [New].
type Set struct {
	peers Peers

	mu        sync.Mutex                      // guards the fields below
	delivered map[uint64]time.Time            // by us
	left      map[uint64]checkpoint.Tombstone // what our predecessor named as open
	asked     map[uint64]bool                 // names that a member has named as open, and that we have taken
	hurry     bool                            // a member waits for our next announcement
	resumed   bool
	fresh     int // how many were delivered since the last announcement
}

// New returns an empty Set.
func New(p Peers) *Set {
	return &Set{peers: p, delivered: make(map[uint64]time.Time), left: make(map[uint64]checkpoint.Tombstone), asked: make(map[uint64]bool)}
}

// Resume takes over, once, the tombstones that the predecessor of our name has left: our checkpoint replaces its
// checkpoint.
func (s *Set) Resume(l checkpoint.List, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.resumed {
		return
	}
	s.resumed = true
	for _, o := range l.Open {
		s.left[o.Name()] = o
	}
	for name := range l.Delivered {
		s.delivered[name] = now
	}
}

// Deliver notes that we have delivered the deletion of that name.
func (s *Set) Deliver(name uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.delivered[name] = now
	s.fresh++
	s.hurry = s.hurry || s.asked[name]
	delete(s.asked, name)
}

// Hurry makes the next announcement due at once: a search has found a deletion that another member has to send.
func (s *Set) Hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry = true
}

// Delivered tells whether some member, or we, have delivered the deletion of that name.
func (s *Set) Delivered(name uint64) bool {
	s.mu.Lock()
	_, ours := s.delivered[name]
	s.mu.Unlock()
	return ours || s.peers.Delivered(name)
}

// CarryOn hands on the objects that our predecessor has named as living. We do not repeat those names: our
// checkpoint tells the sums of an index that may never have held the objects. So once judge says that an object is
// gone, it is named as a deletion. judge returns [Settled] for an object that we know.
func (s *Set) CarryOn(judge func(checkpoint.Tombstone) Answer, now time.Time) {
	for _, o := range s.remaining() {
		if !o.Lives {
			continue
		}
		gone := o.Deletion()
		answer := Settled
		if !s.Delivered(o.Name()) && !s.Delivered(gone.Name()) {
			answer = judge(o)
		}
		if answer == Settled && o.Lost {
			continue // Its owner has to send it.
		}
		if answer == Settled {
			s.Deliver(o.Name(), now)
		}
		s.mu.Lock()
		if answer != Later {
			delete(s.left, o.Name())
		}
		if answer == Proven {
			s.left[gone.Name()] = gone
		}
		s.mu.Unlock()
	}
}

// remaining are the tombstones that our predecessor has left and that are not done.
func (s *Set) remaining() []checkpoint.Tombstone {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.left))
}

// Receive hands on tombstones that are named as open and not as delivered, each with the member that names it. Those
// of our predecessor have no such member any more. It returns the members all of whose tombstones are delivered,
// with the sum of their lists; see [checkpoint.Store.Strike].
func (s *Set) Receive(take func(o checkpoint.Tombstone, by string) Answer, now time.Time) (done map[string]string) {
	for _, o := range s.remaining() {
		if (!o.Lives || o.Lost) && s.receive(o, "", take, now) {
			s.mu.Lock()
			delete(s.left, o.Name())
			s.mu.Unlock()
		}
	}
	done = make(map[string]string)
	for member, l := range s.peers.Lists() {
		all := len(l.Open) > 0
		for _, o := range l.Open {
			all = s.receive(o, member, take, now) && all
		}
		if all {
			done[member] = l.Sum
		}
	}
	return done
}

// receive tells whether a tombstone is delivered, or needs no deletion.
func (s *Set) receive(o checkpoint.Tombstone, by string, take func(checkpoint.Tombstone, string) Answer, now time.Time) bool {
	deletion := o.Deletion().Name()
	if s.Delivered(o.Name()) || s.Delivered(deletion) {
		return true
	}
	answer := take(o, by)
	s.mu.Lock()
	if answer == Taken {
		s.asked[deletion] = true
	}
	s.mu.Unlock()
	if answer == Settled {
		s.Deliver(o.Name(), now)
	}
	return answer == Settled
}

// Due tells whether the next announcement is due at once: a member waits for it, or many deletions were delivered
// since the last one.
func (s *Set) Due() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hurry || s.fresh > crowded
}

// Announce returns the tombstones that the next checkpoint names. Of the kept ones these are our own, those that a
// search found, and those that have been kept for long. When we leave or give something up, it names all of them. If
// there are too many, those that a search found come first, because no other record has them. Then come our own, and
// the latest, since a list of the past shows objects that existed for long. Living objects come last. Cut are the
// types whose found tombstones are not all named.
func (s *Set) Announce(kept []Kept, all bool, now time.Time) (open []checkpoint.Tombstone, delivered []uint64, cut map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hurry = false
	if len(s.asked) > checkpoint.MaxOpen { // Some objects existed again before their deletions were delivered.
		clear(s.asked)
	}
	kept = slices.DeleteFunc(slices.Clone(kept), func(k Kept) bool {
		return !all && !k.Ours && !k.Found && now.Sub(k.Since) < nameAfter
	})
	names := make(map[uint64]bool, len(kept))
	for _, k := range kept {
		names[k.Name()] = true
		if k.Lives && !k.Lost { // We leave, and may have settled another's by what only we know.
			delete(s.delivered, k.Name())
		}
	}
	for name, o := range s.left { // Its type may not even be known yet.
		if !names[name] && !s.peers.Delivered(name) {
			kept = append(kept, Kept{Tombstone: o, Found: !o.Lives})
		}
	}
	slices.SortFunc(kept, func(a, b Kept) int {
		return cmp.Or(rank(a)-rank(b), cmp.Compare(b.Version, a.Version), cmp.Compare(a.ID, b.ID))
	})
	cut = make(map[string]bool)
	for i, k := range kept {
		switch {
		case i < checkpoint.MaxOpen:
			open = append(open, k.Tombstone)
		case k.Found:
			cut[k.Type] = true
		}
	}
	// Equal ones are written once.
	slices.SortFunc(open, func(a, b checkpoint.Tombstone) int { return cmp.Compare(a.ID, b.ID) })
	return open, s.names(now), cut
}

func rank(k Kept) int {
	switch {
	case k.Lives && !k.Lost:
		return 3
	case k.Found:
		return 0
	case k.Ours:
		return 1
	default:
		return 2
	}
}

// names returns the names of the deletions that we have delivered in the last minutes, the latest if there are
// too many. While nothing is delivered they stay the same, so that no checkpoint is written because of them. The
// caller holds mu.
func (s *Set) names(now time.Time) []uint64 {
	if s.fresh > 0 {
		maps.DeleteFunc(s.delivered, func(_ uint64, at time.Time) bool { return now.Sub(at) > nameFor })
		s.fresh = 0
	}
	names := slices.Sorted(maps.Keys(s.delivered))
	if len(names) <= checkpoint.MaxDelivered {
		return names
	}
	slices.SortStableFunc(names, func(a, b uint64) int { return s.delivered[b].Compare(s.delivered[a]) })
	for _, name := range names[checkpoint.MaxDelivered:] {
		delete(s.delivered, name)
	}
	return slices.Sorted(slices.Values(names[:checkpoint.MaxDelivered]))
}
