package ownership_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// event is one change in the order of revisions.
type event struct {
	version uint64
	deleted bool
	lease   ownership.Lease
}

// server is the API server: conditional writes, and one log of all events.
type server struct {
	version uint64
	leases  map[string]ownership.Lease
	log     []event
	// careless applies marks of death without a check of the condition.
	careless bool
}

func (s *server) put(l ownership.Lease, base uint64, mark bool) (version uint64, ok bool) {
	old, exists := s.leases[l.Member]
	switch {
	case mark && s.careless && exists:
	case base == 0 && exists, base != 0 && (!exists || old.Version != base):
		return 0, false
	}
	s.version++
	l.Version = s.version
	s.leases[l.Member] = l
	s.log = append(s.log, event{version: s.version, lease: l})
	return s.version, true
}

func (s *server) remove(member string, base uint64) {
	old, exists := s.leases[member]
	if !exists || base != 0 && old.Version != base {
		return
	}
	s.version++
	delete(s.leases, member)
	s.log = append(s.log, event{version: s.version, deleted: true, lease: old})
}

// list returns all Leases, by member.
func (s *server) list() []ownership.Lease {
	var ls []ownership.Lease
	for _, l := range s.leases {
		ls = append(ls, l)
	}
	slices.SortFunc(ls, func(a, b ownership.Lease) int {
		if a.Member < b.Member {
			return -1
		}
		return 1
	})
	return ls
}

// past returns all Leases as they were after the first events of the log, by member.
func (s *server) past(events int) (leases []ownership.Lease, version uint64) {
	old := server{leases: make(map[string]ownership.Lease)}
	for _, e := range s.log[:events] {
		version = e.version
		if e.deleted {
			delete(old.leases, e.lease.Member)
		} else {
			old.leases[e.lease.Member] = e.lease
		}
	}
	return old.list(), version
}

// world is real time with all nodes. One goroutine runs it, and all chance comes from one seed, so a second run
// of a seed replays the first.
type world struct {
	rng       *rand.Rand
	now       time.Duration // real time, which no node can read
	queue     []timer       // a heap
	order     uint64
	api       server
	nodes     []*node       // all nodes that ever were, in the order of their birth
	broken    string        // the rule that is switched off
	faultless bool          // the faults have ended: everything is fast
	lag       int           // one delivery in so many is slow
	eager     int           // how many requests are begun together
	haste     time.Duration // the longest time from taking parts to giving them back
	trace     []string
	failure   string
	begun     int // requests
	killed    int
}

type timer struct {
	at    time.Duration
	order uint64
	do    func()
}

func (w *world) after(d time.Duration, do func()) {
	w.order++
	w.queue = append(w.queue, timer{at: w.now + d, order: w.order, do: do})
	for i := len(w.queue) - 1; i > 0; {
		parent := (i - 1) / 2
		if !w.less(i, parent) {
			break
		}
		w.queue[i], w.queue[parent] = w.queue[parent], w.queue[i]
		i = parent
	}
}

func (w *world) less(i, j int) bool {
	if w.queue[i].at != w.queue[j].at {
		return w.queue[i].at < w.queue[j].at
	}
	return w.queue[i].order < w.queue[j].order
}

func (w *world) pop() timer {
	top := w.queue[0]
	last := len(w.queue) - 1
	w.queue[0] = w.queue[last]
	w.queue = w.queue[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && w.less(child+1, child) {
			child++
		}
		if !w.less(child, i) {
			break
		}
		w.queue[i], w.queue[child] = w.queue[child], w.queue[i]
		i = child
	}
	return top
}

// run lets time pass until a moment, or until an invariant is broken.
func (w *world) run(until time.Duration) {
	for len(w.queue) > 0 && w.queue[0].at <= until && w.failure == "" {
		t := w.pop()
		w.now = t.at
		t.do()
	}
	if w.failure == "" {
		w.now = until
	}
}

func (w *world) logf(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf("%9.3fs  ", w.now.Seconds())+fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf(format, args...)
		w.logf("FAILURE: %s", w.failure)
	}
}

// between returns a random duration.
func (w *world) between(from, to time.Duration) time.Duration {
	return from + time.Duration(w.rng.Int64N(int64(to-from)+1))
}

// chance is true once in n times.
func (w *world) chance(n int) bool { return w.rng.IntN(n) == 0 }
