package app

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// targets is the set of receivers. Reading it takes no lock.
type targets struct {
	mu   sync.Mutex // guards changes
	list atomic.Pointer[[]*target]
}

// all returns the receivers, sorted by name. The slice must not be changed.
func (s *targets) all() []*target {
	if l := s.list.Load(); l != nil {
		return *l
	}
	return nil
}

// get returns one receiver, nil when there is none of that name.
func (s *targets) get(name string) *target {
	for _, t := range s.all() {
		if t.name == name {
			return t
		}
	}
	return nil
}

// put adds a receiver, in place of an earlier one of its name.
func (s *targets) put(t *target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := slices.DeleteFunc(slices.Clone(s.all()), func(o *target) bool { return o.name == t.name })
	l = append(l, t)
	slices.SortFunc(l, func(a, b *target) int { return strings.Compare(a.name, b.name) })
	s.list.Store(&l)
}

// drop takes a receiver out.
func (s *targets) drop(t *target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := slices.DeleteFunc(slices.Clone(s.all()), func(o *target) bool { return o == t })
	s.list.Store(&l)
}
