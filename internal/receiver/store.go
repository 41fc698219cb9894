package receiver

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// write is one atomic change of one store. Deletes are applied before puts; a step of a contract has only one of
// them.
type write struct {
	Store   string
	Deletes []string
	Puts    []keyed
}

// stores are the documents of all contracts.
type stores struct {
	log *journal // nil without persistence
	// changed is called with each changed ID while mu is held; it must not block and must not call back.
	changed func(store, id string)

	mu sync.RWMutex // guards byName; taken before journal.mu
	// byName holds the three stores; the outer map is never changed after construction.
	byName map[string]map[string]packed
}

func newStores(changed func(store, id string)) *stores {
	return &stores{
		changed: changed,
		byName:  map[string]map[string]packed{Instances: {}, Resources: {}, Capabilities: {}},
	}
}

// apply makes a change visible and hands it to the log, in one order for both. It reports for each put whether the
// store held the same content already. The ticket is for [journal.wait].
func (s *stores) apply(w write) (unchanged []bool, ticket uint64, err error) {
	unchanged = make([]bool, len(w.Puts))

	s.mu.Lock()
	defer s.mu.Unlock()
	docs, ok := s.byName[w.Store]
	if !ok {
		return nil, 0, fmt.Errorf("store %q does not exist, want one of %q", w.Store, []string{Instances, Resources, Capabilities})
	}
	for _, id := range w.Deletes {
		if _, held := docs[id]; held {
			delete(docs, id)
			s.changed(w.Store, id)
		}
	}
	for i, p := range w.Puts {
		old, held := docs[p.id]
		unchanged[i] = held && old.hash == p.hash
		docs[p.id] = p.packed
		s.changed(w.Store, p.id)
	}
	if s.log != nil {
		ticket = s.log.append(entryOf(w))
	}
	return unchanged, ticket, nil
}

// wait returns when the change with this ticket is durable.
func (s *stores) wait(ticket uint64) error {
	if s.log == nil {
		return nil
	}
	return s.log.wait(ticket)
}

// load replays one entry of the log. It is called before any other use of the stores.
func (s *stores) load(e entry) error {
	docs, ok := s.byName[e.Store]
	if !ok {
		return fmt.Errorf("replaying log: store %q is unknown", e.Store)
	}
	for _, id := range e.Deletes {
		delete(docs, id)
	}
	for _, u := range e.Puts {
		p, id, err := u.unpack()
		if err != nil {
			return err
		}
		docs[id] = p
	}
	return nil
}

// snapshot calls emit with entries that together hold all documents, in chunks. The caller holds mu.
func (s *stores) snapshot(emit func(entry) error) error {
	const chunk = 500
	for store, docs := range s.byName {
		e := entry{Store: store}
		for _, p := range docs {
			e.Puts = append(e.Puts, put{UpdatedAt: p.updatedAt, JSON: []byte(p.json)})
			if len(e.Puts) == chunk {
				if err := emit(e); err != nil {
					return err
				}
				e.Puts = nil
			}
		}
		if len(e.Puts) > 0 {
			if err := emit(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// get returns one document.
func (s *stores) get(store, id string) (Document, bool) {
	s.mu.RLock()
	p, ok := s.byName[store][id]
	s.mu.RUnlock()
	if !ok {
		return Document{}, false
	}
	d, err := p.unpack()
	return d, err == nil // unpack can read all that pack writes; loading checked the log
}

func (s *stores) size(store string) int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.byName[store])
}

// keyed is a packed document with its ID.
type keyed struct {
	id string
	packed
}

// list returns the store's documents, still packed, ordered by less and cut at limit (0: all).
func (s *stores) list(store string, less func(a, b keyed) int, limit int) []keyed {
	s.mu.RLock()
	all := make([]keyed, 0, len(s.byName[store]))
	for id, p := range s.byName[store] {
		all = append(all, keyed{id, p})
	}
	s.mu.RUnlock()
	slices.SortFunc(all, less)
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all
}

func byID(a, b keyed) int { return cmp.Compare(a.id, b.id) }

// byPoint is the order in which a vector database returns its points: arbitrary, but the same each time.
func byPoint(a, b keyed) int {
	return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.id, b.id))
}

// ids returns the store's IDs in no order.
func (s *stores) ids(store string) []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Collect(maps.Keys(s.byName[store]))
}

// bytes is about the length of a log of these documents alone.
func (s *stores) bytes() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var sum int64
	for _, docs := range s.byName {
		for _, p := range docs {
			sum += int64(len(p.json) + len(p.updatedAt) + 32)
		}
	}
	return sum
}
