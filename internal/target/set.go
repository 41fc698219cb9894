package target

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Set is the set of receivers. Reading it takes no lock.
type Set struct {
	mu   sync.Mutex // guards changes
	list atomic.Pointer[[]*Target]
}

// All returns the receivers, sorted by name. The slice must not be changed.
func (s *Set) All() []*Target {
	if l := s.list.Load(); l != nil {
		return *l
	}
	return nil
}

// Get returns the receiver of a name, nil when there is none.
func (s *Set) Get(name string) *Target {
	for _, t := range s.All() {
		if t.spec.Name == name {
			return t
		}
	}
	return nil
}

// Put adds a receiver, and replaces an earlier one of the same name. Members that come later are told to those in the
// set, so it learns here how many there are.
func (s *Set) Put(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := slices.DeleteFunc(slices.Clone(s.All()), func(o *Target) bool { return o.Name() == t.spec.Name })
	l = append(l, t)
	slices.SortFunc(l, func(a, b *Target) int { return strings.Compare(a.Name(), b.Name()) })
	s.list.Store(&l)
	t.divide()
}

// Drop removes a receiver.
func (s *Set) Drop(t *Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := slices.DeleteFunc(slices.Clone(s.All()), func(o *Target) bool { return o == t })
	s.list.Store(&l)
}
