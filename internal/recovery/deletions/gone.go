package deletions

import (
	"math"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// consultAgain consults the inventory about all types that it knows, whatever other sources have told of them.
func (f *Finder) consultAgain(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.restored {
		return
	}
	f.restored = true
	for _, t := range f.opts.Previous.KnownTypes() {
		if s := f.enter(t, now); s != nil && !s.gone {
			s.state, s.expired, s.retry, s.listed = Pending, true, time.Time{}, math.MaxUint64 // No peer knows of it.
		}
	}
}

// ConsultGone asks the inventory about a type that is no longer served: no other source can tell of it.
func (f *Finder) ConsultGone(t resource.Type, now time.Time) {
	if !f.opts.Previous.Knows(t) {
		return
	}
	f.mu.Lock()
	s := f.searches[t]
	if s == nil {
		s = &search{begun: now}
		f.searches[t] = s
	}
	s.gone = true
	looked := s.state != Pending
	f.mu.Unlock()
	if looked {
		return // Its names were searched while the type was served.
	}
	v, err := f.opts.Previous.Judge(t, f.opts.Receiver.Wants, true, false)
	f.apply(t, s, v, err)
}

// lookForGone marks types as unknown that checkpoints mention, that are no longer served, and that no inventory
// knows. It does so once in the life of the process.
func (f *Finder) lookForGone() {
	if !f.hasUnseen() {
		return // Most of the time there is no such type.
	}
	types, sure := f.opts.Types.Served()
	if !sure {
		return
	}
	here := make(map[string]bool)
	for _, t := range slices.Concat(types, f.opts.Index.Types(), f.opts.Previous.KnownTypes()) {
		here[t.Whole().String()] = true
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.past.Versions {
		t, ok := resource.ParseType(name)
		if !ok || here[t.Whole().String()] || f.searches[t] != nil || !f.opts.Types.Selected(t) || !f.opts.Receiver.Wants(t, "", "") {
			continue
		}
		f.searches[t] = &search{gone: true, state: Unknown}
		f.findings.cannotTell(t)
	}
}

// hasUnseen tells whether checkpoints mention a type that has not been searched.
func (f *Finder) hasUnseen() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.past.Versions) == 0 {
		return false
	}
	looked := make(map[string]bool, len(f.searches))
	for t := range f.searches {
		looked[t.String()] = true
	}
	for name := range f.past.Versions {
		if !looked[name] {
			return true
		}
	}
	return false
}

// IsGone tells whether a type is known to be no longer served, and is not served again.
func (f *Finder) IsGone(t resource.Type) bool {
	f.mu.Lock()
	s := f.searches[t]
	gone := s != nil && s.gone
	f.mu.Unlock()
	return gone && f.opts.Index.Type(t) == index.Stats{}
}

// ServedNoLonger tells whether a type is known for sure to be no longer served, although it would be wanted.
func (f *Finder) ServedNoLonger(t resource.Type) bool {
	if f.opts.Index.Type(t) != (index.Stats{}) || !f.opts.Types.Selected(t) {
		return false
	}
	types, sure := f.opts.Types.Served()
	name := t.Whole().String()
	return sure && !slices.ContainsFunc(types, func(o resource.Type) bool { return o.String() == name })
}
