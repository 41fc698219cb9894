package pipeline

import (
	"iter"
	"runtime"
	"sort"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// stub stands for an item of a first list that has dropped its body and has no other special state. During a
// first sync very many such items wait. A stub takes 40 bytes and the index's own name of the object, where an
// item takes some 330 bytes. It is in the same place as the item was, evicted or parked, and counts as one.
// Before any event can affect it, it is made an item again:
//
//	first list, no room for the body           changed, filled, offered, doubted
//	────────────────────────────────▶ stub ──────────────────────────────────────▶ item
//	                                   ▲   another's to send, or ours to send anew   │
//	                                   ╰─────────────────────────────────────────────╯
type stub struct {
	name            string // namespace/name, or the name alone: the index's own string
	version, digest uint64
	short           uint32 // the ID's, by which stubs are ordered
	asItem          bool   // it is an item again, or forgotten
	parked          bool   // another member's to send
	initial, bulk   bool   // see origin
}

// stubs are those of one type, in the order of the hashes of their IDs. First lists come in this order.
type stubs struct {
	typ    *resource.Type
	first  onset // the earliest of any of them, at the lowest version
	chunks [][]stub
	left   int // how many are no items
}

// stubsPerChunk stubs fill a size class of the allocator. A list of chunks grows without a copy of its content.
const stubsPerChunk = 819

// maxBulk is the number of items of first lists that may have bodies, whatever their size: small bodies would not
// reach a bound on bytes.
const maxBulk = 1 << 16

func (s *stubs) len() int {
	if len(s.chunks) == 0 {
		return 0
	}
	return (len(s.chunks)-1)*stubsPerChunk + len(s.chunks[len(s.chunks)-1])
}

func (s *stubs) at(i int) *stub { return &s.chunks[i/stubsPerChunk][i%stubsPerChunk] }

// find returns the stub of an object, also of one that is an item again; nil for none.
func (s *stubs) find(id resource.ID) *stub {
	short, n := id.Short(), s.len()
	for i := sort.Search(n, func(i int) bool { return s.at(i).short >= short }); i < n && s.at(i).short == short; i++ {
		if s.at(i).names(id) {
			return s.at(i)
		}
	}
	return nil
}

// append adds a stub, if it comes after all others.
func (s *stubs) append(b stub) bool {
	n := s.len()
	if n > 0 && s.at(n-1).short > b.short {
		return false
	}
	if n%stubsPerChunk == 0 {
		var chunk []stub
		if n > 0 { // The first chunk grows: most types have few.
			chunk = make([]stub, 0, stubsPerChunk)
		}
		s.chunks = append(s.chunks, chunk)
	}
	last := &s.chunks[len(s.chunks)-1]
	*last = append(*last, b)
	return true
}

// all yields the stubs that are no items. The caller may make an item of a yielded stub. A stub may move when
// another is added.
func (s *stubs) all() iter.Seq[*stub] {
	return func(yield func(*stub) bool) {
		for i := 0; i < s.len(); i++ {
			if b := s.at(i); !b.asItem && !yield(b) {
				return
			}
		}
	}
}

// names tells whether a stub is of an object of that ID.
func (b *stub) names(id resource.ID) bool {
	namespace, name := split(b.name)
	in, of := (&item{id: id}).namespaceAndName()
	return namespace == in && name == of
}

func split(name string) (namespace, short string) {
	if namespace, short, ok := strings.Cut(name, "/"); ok {
		return namespace, short
	}
	return "", name
}

// id returns the ID of the object of a stub.
func (s *stubs) id(b *stub) resource.ID {
	namespace, name := split(b.name)
	return s.typ.ID(namespace, name)
}

// item returns the item from which a stub was made. It is in no queue.
func (s *stubs) item(b *stub) item {
	it := item{
		id: s.id(b), typ: s.typ, State: State{Version: b.version, Digest: b.digest}, first: s.first,
		place: evicted, evicted: true, sending: sending{changed: true}, origin: origin{initial: b.initial, bulk: b.bulk},
	}
	if b.parked {
		it.place = parked
	}
	it.aged = it.second()
	return it
}

// shorten keeps an item as a stub, if a stub can hold its whole state. The name is the index's own, or is made
// anew.
func (p *Pipeline) shorten(it *item, name string) {
	if p.items.stubs == nil || it.place != evicted && it.place != parked || !it.evicted || it.Deleted || it.Version == 0 || it.inFlight ||
		it.base != 0 || it.several || it.found || it.offered || it.again || it.Lost || it.extra != nil {
		return
	}
	s := p.items.stubs[it.typ]
	if s == nil {
		s = &stubs{typ: it.typ, first: it.first}
	}
	if name == "" {
		name = index.Key(it.namespaceAndName())
	}
	b := stub{
		name: name, version: it.Version, digest: it.Digest, short: it.id.Short(),
		parked: it.place == parked, initial: it.initial, bulk: it.bulk,
	}
	if old := s.find(it.id); old != nil {
		*old = b
	} else if !s.append(b) {
		return
	}
	p.items.stubs[it.typ] = s
	s.left++
	s.first.version = min(s.first.version, it.first.version)
	it.first.at = s.first.at
	p.ages.note(it)
	if it.queue != nil {
		it.queue.remove(it)
	}
	p.items.remove(it)
}

// lengthen makes an item of a stub again.
func (p *Pipeline) lengthen(s *stubs, b *stub) *item {
	made := s.item(b)
	it := &made
	b.asItem = true
	if s.left--; s.left == 0 {
		delete(p.items.stubs, s.typ)
	}
	p.items.add(it)
	if it.place == parked {
		p.queues.parkedOf(it).pushBack(it)
	}
	return it
}

// stubOf returns the stub of an object that has no item, nil for none.
func (p *Pipeline) stubOf(t resource.Type, id resource.ID) (*stubs, *stub) {
	if len(p.items.stubs) == 0 {
		return nil, nil
	}
	s := p.items.stubs[p.items.types[t]]
	if s == nil {
		return nil, nil
	}
	b := s.find(id)
	if b == nil || b.asItem {
		return nil, nil
	}
	return s, b
}

// item returns the item of an object, and makes it of the stub if the object has only a stub.
func (p *Pipeline) item(t resource.Type, id resource.ID) (it *item, ok bool) {
	if it, ok = p.items.byID[id]; ok {
		return it, true
	}
	if s, b := p.stubOf(t, id); b != nil {
		return p.lengthen(s, b), true
	}
	return nil, false
}

// ofStub returns the item that the stub of an object stands for; nil where there is no stub.
func (s *items) ofStub(id resource.ID) *item {
	for _, of := range s.stubs {
		if b := of.find(id); b != nil && !b.asItem && of.id(b) == id {
			it := of.item(b)
			return &it
		}
	}
	return nil
}

// allStubs yields the stubs of all types; see [stubs.all].
func (s *items) allStubs() iter.Seq2[*stubs, *stub] {
	return func(yield func(*stubs, *stub) bool) {
		all := make([]*stubs, 0, len(s.stubs))
		for _, of := range s.stubs {
			all = append(all, of)
		}
		for _, of := range all {
			for b := range of.all() {
				if !yield(of, b) {
					return
				}
			}
		}
	}
}

// moveStubs brings the stubs in step with the ownership of their objects.
func (p *Pipeline) moveStubs(now time.Time) {
	for s, b := range p.items.allStubs() {
		ours := p.opts.Owner.MaySend(*s.typ, s.id(b))
		if ours != b.parked {
			continue
		}
		it := p.lengthen(s, b)
		if ours {
			p.unpark(it, now)
		} else {
			p.park(it)
		}
		p.shorten(it, b.name)
	}
}

// forgetCoveredStubs is forgetCovered for the parked stubs of a type; kept is the number of contested items kept
// before.
func (p *Pipeline) forgetCoveredStubs(
	t *resource.Type, may func(id resource.ID, s State) bool, contested func(t resource.Type, id resource.ID, s State) bool, kept int,
) {
	s := p.items.stubs[t]
	if s == nil {
		return
	}
	n := 0
	for b := range s.all() {
		if it := s.item(b); b.parked && may(it.id, it.State) && p.settledByOwner(&it) {
			if kept < maxContested && contested(*t, it.id, it.State) {
				kept++
			} else {
				p.forget(p.lengthen(s, b))
			}
		}
		if n++; n%forgetAtOnce == 0 {
			p.mu.Unlock()
			runtime.Gosched()
			p.mu.Lock()
		}
	}
}

// unacknowledgedStubs adds the stubs to the result of [Pipeline.Unacknowledged].
func (p *Pipeline) unacknowledgedStubs(mine Match, own, all map[resource.Type]Unacknowledged) {
	for _, s := range p.items.stubs {
		ofAll, ofOwn := all[*s.typ], own[*s.typ]
		for b := range s.all() {
			it := s.item(b)
			if p.onlyDoubted(&it) {
				continue
			}
			p.raise(&it)
			ofAll.further(b, it.first.version)
			if mine(*s.typ, it.id) {
				ofOwn.further(b, it.first.version)
			}
		}
		if len(ofAll.Further) > 0 {
			all[*s.typ] = ofAll
		}
		if len(ofOwn.Further) > 0 {
			own[*s.typ] = ofOwn
		}
	}
}

// further adds a stub whose state may have begun at a version.
func (u *Unacknowledged) further(b *stub, version uint64) {
	if len(u.IDs)+len(u.Further) == 0 || version < u.Version {
		u.Version = version
	}
	u.Further = append(u.Further, b.short)
}
