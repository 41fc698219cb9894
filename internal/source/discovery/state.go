package discovery

import (
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// state is what discovery believes about the wanted types. Only step changes it. step is a pure function of its
// arguments and of the earlier state.
type state struct {
	filter Filter
	doubt  time.Duration
	types  map[resource.Type]absence
	shorts map[string][]string // all short names that a server ever told; replaced, never changed
}

// absence is the evidence against a type. Its zero value is no evidence.
type absence struct {
	since time.Time // the first of the complete answers in a row that lacked the type; zero when there is none
	now   bool      // the last answer, complete or not, lacked it
	// second is the time since when no complete answer has preferred this version, although it is served. It is
	// zero while the version is preferred.
	second time.Time
}

// secondFor is how long no answer must have preferred a served version until another version takes its place.
// While the servers behind a load balancer are upgraded one by one, each answer may prefer another version. If
// discovery followed each answer, every object would be sent and deleted each time.
const secondFor = 5 * time.Minute

func newState(filter Filter, doubt time.Duration, known []resource.Type) *state {
	s := &state{filter: filter, doubt: doubt, types: map[resource.Type]absence{}}
	for _, t := range known {
		if filter.Match(t) {
			s.types[t] = absence{}
		}
	}
	return s
}

// step takes one answer and returns the Change that follows. Evidence is what was known about definitions before
// the request for the answer.
func (s *state) step(a answer, ev evidence, now time.Time) Change {
	c := Change{Failed: map[string]error{}}
	if a.err != nil {
		c.Failed[whole] = a.err
		c.Types = s.sorted()
		return c
	}
	s.learn(a.shortNames())
	broken := s.broken(a, c.Failed)
	c.Complete = len(c.Failed) == 0
	wanted, instead := s.wanted(a)
	for _, t := range s.sorted() {
		gr := groupResource(t)
		current, served := wanted[gr]
		by, aliased := instead[gr]
		switch {
		case served && current == t:
			s.types[t] = absence{}
		case broken[t.Group]: // an incomplete answer moves and removes nothing
			delete(wanted, gr)
			s.types[t] = absence{now: !served, since: s.types[t].since, second: s.types[t].second}
		case served && a.versions[t] && !s.outlived(t, c.Complete, now):
			delete(wanted, gr)
		case served:
			c.Migrated = append(c.Migrated, Migration{Old: t, New: current})
			delete(s.types, t)
		case aliased:
			c.Migrated = append(c.Migrated, Migration{Old: t, New: by})
			delete(s.types, t)
		case s.gone(t, c.Complete, ev, now):
			c.Removed = append(c.Removed, t)
			delete(s.types, t)
		}
	}
	for _, t := range wanted {
		if _, known := s.types[t]; !known {
			s.types[t] = absence{}
		}
	}
	c.Types = s.sorted()
	if c.Complete {
		c.Unknown = s.filter.Unknown(a.types())
	}
	return c
}

// learn takes short names. The short names of a group that does not answer stay known.
func (s *state) learn(told map[string][]string) {
	f, ok := s.filter.(resource.Filter)
	if !ok {
		return
	}
	all := maps.Clone(s.shorts)
	if all == nil {
		all = make(map[string][]string, len(told))
	}
	maps.Copy(all, told)
	s.shorts, s.filter = all, f.WithShortNames(all)
}

// outlived notes that the server prefers another version of a type, although it serves this one, too. It tells
// whether that has lasted for long enough.
func (s *state) outlived(t resource.Type, complete bool, now time.Time) bool {
	second := s.types[t].second
	if second.IsZero() {
		second = now
	}
	s.types[t] = absence{second: second}
	return complete && now.Sub(second) >= secondFor
}

// broken returns the groups with a version that failed, and notes their errors. An empty version has failed,
// too, if types of its group are known.
func (s *state) broken(a answer, failed map[string]error) map[string]bool {
	groups := map[string]bool{}
	for gv, err := range a.failed {
		groups[gv.Group] = true
		failed[gv.String()] = err
	}
	for _, gv := range a.empty {
		if s.knows(gv) {
			groups[gv.Group] = true
			failed[gv.String()] = errEmpty
		}
	}
	return groups
}

func (s *state) knows(gv schema.GroupVersion) bool {
	for t := range s.types {
		if t.Group == gv.Group && t.Version == gv.Version {
			return true
		}
	}
	return false
}

// wanted returns the wanted types of an answer. If another group serves the objects of one under another name,
// instead has that other type.
func (s *state) wanted(a answer) (wanted, instead map[schema.GroupResource]resource.Type) {
	wanted = map[schema.GroupResource]resource.Type{}
	instead = map[schema.GroupResource]resource.Type{}
	known := map[schema.GroupResource]resource.Type{}
	for t := range s.types {
		known[groupResource(t)] = t
	}
	for gr, t := range a.served {
		if s.filter.Match(t) {
			wanted[gr] = t
		}
	}
	for gr := range wanted {
		other, ok := aliases[gr]
		if !ok {
			continue
		}
		if t, ok := wanted[other]; ok {
			instead[gr] = t
		} else if t, ok := known[other]; ok {
			instead[gr] = t
		}
	}
	for gr := range instead {
		delete(wanted, gr)
	}
	return wanted, instead
}

// gone weighs the evidence against a type that an answer lacks. The type's group must have answered without an
// error.
func (s *state) gone(t resource.Type, complete bool, ev evidence, now time.Time) bool {
	if ev.deleted(t) {
		return true
	}
	was := s.types[t]
	was.now = true
	enough := complete && !was.since.IsZero() && now.Sub(was.since) >= s.doubt
	if complete && was.since.IsZero() {
		was.since = now
	}
	s.types[t] = was
	return enough && !ev.defined(t)
}

// missing returns the types that the last answer lacked, sorted.
func (s *state) missing() []resource.Type {
	var ts []resource.Type
	for t, a := range s.types {
		if a.now {
			ts = append(ts, t)
		}
	}
	slices.SortFunc(ts, resource.CompareTypes)
	return ts
}

func (s *state) sorted() []resource.Type {
	return slices.SortedFunc(maps.Keys(s.types), resource.CompareTypes)
}

func groupResource(t resource.Type) schema.GroupResource {
	return schema.GroupResource{Group: t.Group, Resource: t.Resource}
}
