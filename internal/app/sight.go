package app

import (
	"maps"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
)

// sight is what a member's checkpoint says, by the names of the types, of how far each was seen and how far deletions were looked
// for: done are those whose search is done; of the others, bounds are up to which version everything was acknowledged before.
// stats are what the index said at that time.
type sight struct {
	seen, done, bounds map[string]uint64
	stats              map[string]index.Stats
}

// newSight returns one that says what was said before.
func newSight(past checkpoint.Past) sight {
	v := sight{seen: make(map[string]uint64), done: make(map[string]uint64), bounds: make(map[string]uint64), stats: make(map[string]index.Stats)}
	for name, versions := range past.Versions {
		v.bounds[name] = versions[0]
	}
	return v
}

// seen returns what the search, which has begun, has seen by now.
func (s *search) seen() sight {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := newSight(s.past)
	for t, e := range s.types {
		now := s.index.Type(t)
		if e.replayed && now.Since == e.first { // Nothing has been missed since either.
			now.Since = min(now.Since, e.versions[0])
		}
		v.stats[t.String()] = now
		if e.gone && e.done && now == (index.Stats{}) {
			delete(v.bounds, t.String())
		}
		if !now.Listed || now.Version == 0 {
			continue
		}
		name := t.String()
		v.seen[name] = now.Version
		if e.done {
			v.done[name] = now.Version
			delete(v.bounds, name)
		}
		if g := s.gapOf(t); g != nil && g.after > 0 {
			v.lower(name, g.after)
		}
	}
	return v
}

// lower says of a type's deletions no more than up to a version.
func (v sight) lower(name string, to uint64) {
	if bound := v.bounds[name]; bound == 0 || to < bound {
		v.bounds[name] = to
	}
}

// glance is seen before the search has begun: what nobody has spoken of before need not be searched, but by what an earlier life
// of ours remembers.
func (s *search) glance() sight {
	past, _ := s.store.Before()
	v := newSight(past)
	for _, t := range s.index.Types() {
		now := s.index.Type(t)
		if !now.Listed || now.Version == 0 {
			continue
		}
		name := t.String()
		v.seen[name], v.stats[name] = now.Version, now
		switch {
		case now.Before > 0: // The watch has begun anew: there are gaps.
			v.lower(name, now.First)
		case v.bounds[name] == 0 && !s.memory.has(t):
			v.done[name] = now.Version
		}
	}
	return v
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
