package app

import (
	"maps"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
)

// What a member's checkpoints say of how far it has seen each type, and of how far it has looked for deletions.

// seen returns, by the names of the types, how far each was seen; done are those whose search is done. Of the others,
// bounds returns up to which version everything was acknowledged before. stats are what the index said at that time.
func (s *search) seen() (seen, done, bounds map[string]uint64, stats map[string]index.Stats) {
	seen, done, bounds, stats = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64), make(map[string]index.Stats)
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, versions := range s.past.Versions {
		bounds[name] = versions[0]
	}
	for t, e := range s.types {
		now := s.index.Type(t)
		if e.replayed && now.Since == e.first { // Nothing has been missed since either.
			now.Since = min(now.Since, e.versions[0])
		}
		stats[t.String()] = now
		if e.gone && e.done && now == (index.Stats{}) {
			delete(bounds, t.String())
		}
		if !now.Listed || now.Version == 0 {
			continue
		}
		name := t.String()
		seen[name] = now.Version
		if e.done {
			done[name] = now.Version
			delete(bounds, name)
		}
		if g := s.gapOf(t); g != nil && g.after > 0 {
			if bound := bounds[name]; bound == 0 || g.after < bound {
				bounds[name] = g.after
			}
		}
	}
	return seen, done, bounds, stats
}

// glance is seen before the search has begun: what nobody has spoken of before need not be searched, but by what an earlier life
// of ours remembers.
func (s *search) glance() (seen, done, bounds map[string]uint64, stats map[string]index.Stats) {
	seen, done, bounds, stats = make(map[string]uint64), make(map[string]uint64), make(map[string]uint64), make(map[string]index.Stats)
	past, _ := s.store.Before()
	for name, versions := range past.Versions {
		bounds[name] = versions[0]
	}
	for _, t := range s.index.Types() {
		now := s.index.Type(t)
		if !now.Listed || now.Version == 0 {
			continue
		}
		name := t.String()
		seen[name], stats[name] = now.Version, now
		switch {
		case now.Before > 0 && (bounds[name] == 0 || now.First < bounds[name]): // The watch has begun anew: there are gaps.
			bounds[name] = now.First
		case bounds[name] == 0 && !s.memory.has(t):
			done[name] = now.Version
		}
	}
	return seen, done, bounds, stats
}

// before returns, by the names of the types whose search is not done, the versions that our earlier checkpoints spoke of: the
// next one takes their place.
func (s *search) before() map[string][]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := maps.Clone(s.earlier)
	for t, e := range s.types {
		if e.done {
			delete(left, t.String())
		}
	}
	return left
}

// searched returns, by the names of the types, the latest version at which what there was has been compared with what
// there is.
func (s *search) searched() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := make(map[string]uint64)
	for t, e := range s.types {
		if e.exact {
			versions[t.String()] = e.versions[len(e.versions)-1]
		}
	}
	return versions
}
