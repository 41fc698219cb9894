package pipeline

import (
	"runtime"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// unpark takes up an item that has become ours. Its debounce has run while it was parked, and callers have waited
// for it since, so it goes with the next request.
func (p *Pipeline) unpark(it *item, now time.Time) {
	p.takeOut(it)
	if it.again && !it.inFlight && it.extra == nil { // It was always ours: no other member has sent another state.
		p.forget(it)
		return
	}
	if d, doubted := p.opts.Doubtful(it.id); doubted && p.takeDoubt(it, d) && !it.inFlight && len(it.extra.tickets) == 0 {
		p.watchOver(it, now)
		return
	}
	switch {
	case it.inFlight || it.Deleted || it.evicted, now.Sub(p.ages.time(it.first.at)) < p.opts.Debounce:
		p.route(it, now, false)
	default:
		p.enqueue(classLive, it, now)
		it.readyAt = it.first.at
	}
}

// Doubt tells the pipeline that another member may have had requests of unknown outcome under way for the dirty
// objects that match. This replica took them over from a member that has crashed. The last word of these objects
// is repeated after it is acknowledged; see [Options.Settle].
func (p *Pipeline) Doubt(match Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, it := range p.items.byID {
		if it.dirty() && match(*it.typ, id) {
			state := it.mark()
			if it.several {
				state = 0
			}
			p.suspect(it, state)
		}
	}
	for s, b := range p.items.allStubs() {
		if match(*s.typ, s.id(b)) {
			it := p.lengthen(s, b)
			p.suspect(it, it.mark())
		}
	}
}

// ForgetCovered forgets the parked objects that have become covered ([Options.Covers]). Their owner has delivered
// them, and has no doubt about them that we would have to take over.
//
// may limits the search to objects that can have become covered. It gets a type, and whether to look at objects
// that are reported by name, as deletions and states without a version are. It returns a function that tells
// which objects to look at, or nil for none; a nil may looks at all.
//
// contested tells of a covered object whether the member that covers it may have missed the change. Of each type,
// some thousands of these are kept, for the member that has to send them then; nil keeps none. Both functions are
// called under the lock. ForgetCovered releases the lock now and then, because there may be very many objects.
func (p *Pipeline) ForgetCovered(may func(t resource.Type, named bool) func(id resource.ID, s State) bool, contested func(t resource.Type, id resource.ID, s State) bool) {
	if contested == nil {
		contested = func(resource.Type, resource.ID, State) bool { return false }
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for t, queues := range p.queues.parked {
		for named := range queues {
			some := func(resource.ID, State) bool { return true }
			if may != nil {
				some = may(*t, named == 1)
			}
			if some != nil {
				kept := p.forgetCovered(&queues[named], some, contested)
				if named == 0 {
					p.forgetCoveredStubs(t, some, contested, kept)
				}
			}
		}
	}
}

// forgetAtOnce is the number of items that ForgetCovered checks without giving up the lock, which takes some
// milliseconds.
const forgetAtOnce = 1000

// maxContested bounds the parked items of a type that are covered and kept, because the member that covers them
// may have missed their changes. A type whose sums can never agree would otherwise keep every object that ever
// changes.
const maxContested = 4096

// forgetCovered goes once round a queue of parked items. The caller holds the lock, which is given up on the way.
func (p *Pipeline) forgetCovered(q *queue, may func(id resource.ID, s State) bool, contested func(t resource.Type, id resource.ID, s State) bool) (kept int) {
	for n := q.len; n > 0 && q.front != nil; n-- {
		it := q.front
		q.remove(it)
		q.pushBack(it)
		if may(it.id, it.State) && p.settledByOwner(it) {
			if kept < maxContested && contested(*it.typ, it.id, it.State) {
				kept++
			} else {
				p.forget(it)
			}
		}
		if n%forgetAtOnce == 0 {
			p.mu.Unlock()
			runtime.Gosched()
			p.mu.Lock()
		}
	}
	return kept
}

// settledByOwner tells whether a parked item's owner has delivered its state, and no request of the owner's or ours is
// in doubt. The owner reads of our doubt when the object changes.
func (p *Pipeline) settledByOwner(it *item) bool {
	_, doubted := p.opts.Doubtful(it.id)
	ours := it.extra != nil && !it.extra.suspicion && p.tells(it, time.Now())
	return !doubted && !ours && !it.inFlight && p.opts.Covers(*it.typ, it.id, it.State)
}

// Tombstone is a deletion that the receiver may not know of.
type Tombstone struct {
	Type resource.Type
	ID   resource.ID
	State
	// Since is when the deletion was first seen. Found tells that it was not watched but found, or that another
	// member named it.
	Since time.Time
	Found bool
	// Undoable tells that the receiver has acknowledged the deletion, and that a request of unknown outcome may
	// still undo it.
	Undoable bool
}

// Tombstones returns all deletions that the receiver may not know of, ours and others', except those that it has
// refused. It also returns the deletions that an older request may still undo, because the successor is to repeat
// them.
func (p *Pipeline) Tombstones() []Tombstone {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Tombstone
	for id, it := range p.items.byID {
		if it.Deleted && (it.dirty() || it.overwritable()) && it.place != quarantined {
			all = append(all, Tombstone{Type: *it.typ, ID: id, State: it.State, Since: p.ages.time(it.first.at), Found: it.found, Undoable: !it.dirty()})
		}
	}
	return all
}

// Lost returns the states that wait and that our watch had lost, ours and others'. None has a body.
func (p *Pipeline) Lost() []index.Change {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []index.Change
	if !p.items.lost {
		return nil
	}
	for id, it := range p.items.byID {
		if it.Lost && it.dirty() && it.place != quarantined {
			all = append(all, index.Change{Type: *it.typ, ID: id, Lost: true, Record: resource.Record{ResourceVersion: it.Version, Digest: it.Digest}})
		}
	}
	p.items.lost = len(all) > 0
	return all
}

// Again sends an object once more, although a member has said that the receiver has it: that member's watch had lost
// the state. Its body is read first. The caller must make sure that r, which has none, is the state that the index
// knows at this moment, as for [Pipeline.Offer].
func (p *Pipeline) Again(t resource.Type, r resource.Record) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	id := t.ID(r.Namespace, r.Name)
	if p.life == ended || !p.opts.Owner.MaySend(t, id) {
		return
	}
	it, ok := p.item(t, id)
	switch {
	case ok && it.dirty():
		it.Lost = !it.Deleted && it.Digest == r.Digest // It is on its way, and is named once it is there.
		p.items.lost = true
		return
	case !ok:
		it = p.add(id, t)
	}
	p.set(it, false, r)
	it.first, it.base, it.Lost = onset{p.ages.moment(now), r.ResourceVersion}, 0, true
	p.items.lost = true
	p.giveUp(it)
	p.route(it, now, false)
}

// PendingDeletions calls f with each object of a type whose deletion the receiver may not know of. The deletion
// may be ours or another member's, and refused or not; after a doubt it counts until the last word has been
// repeated. The pipeline does not change while f runs, so f must be quick and must not call the pipeline.
// PendingDeletions looks at every item.
func (p *Pipeline) PendingDeletions(t resource.Type, f func(namespace, name string)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, it := range p.items.byID {
		if it.Deleted && *it.typ == t && (it.dirty() || it.overwritable()) {
			f(it.namespaceAndName())
		}
	}
}

// Unacknowledged lists the objects of one type that a pipeline has not seen acknowledged.
type Unacknowledged struct {
	// Version is the lowest version among them, 0 when that is not known.
	Version uint64
	// IDs are the objects, except those whose deletion was not watched but found. The time of such a deletion is
	// unknown, and its tombstone names the object.
	IDs []resource.ID
	// Further are more objects, by their IDs' [resource.ID.Short], in no order.
	Further []uint32
	// Doubtful are objects that a request of unknown outcome may still change. An object that is acknowledged in the
	// doubted state, or has been repeated since, is in none of the other lists.
	Doubtful []Doubt
	// Refused are the objects that are quarantined. They are in none of the above.
	Refused []resource.ID
}

// Unacknowledged returns, by type, the objects that the receiver may not have in their current state, whether we
// or others have to send them. It includes the objects whose last word has not been repeated even once after a
// doubt. own are those of them that are mine, and those that were in doubt when they were given away. Refused
// objects are named apart, because they would hold all other objects back for ever.
func (p *Pipeline) Unacknowledged(mine Match) (own, all map[resource.Type]Unacknowledged) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	own, all = make(map[resource.Type]Unacknowledged), make(map[resource.Type]Unacknowledged)
	for id, it := range p.items.byID {
		sure := !it.dirty() && (it.extra == nil || it.extra.repeats < p.opts.Repeats || !it.overwritable()) ||
			it.offered && it.place != quarantined || p.onlyDoubted(it)
		if sure && (it.extra == nil || !it.extra.inDoubt()) {
			continue
		}
		p.raise(it)
		include(all, it, sure)
		switch {
		case mine(*it.typ, id):
			include(own, it, sure)
		case p.tells(it, now):
			u := own[*it.typ]
			u.Doubtful = append(u.Doubtful, it.doubtful())
			own[*it.typ] = u
		}
	}
	p.unacknowledgedStubs(mine, own, all)
	return own, all
}

// onlyDoubted tells whether a parked item is kept only because of its owner's doubt.
func (p *Pipeline) onlyDoubted(it *item) bool {
	if it.place != parked || it.inFlight {
		return false
	}
	_, doubted := p.opts.Doubtful(it.id)
	return doubted && p.opts.Covers(*it.typ, it.id, it.State)
}

// raise takes account of reports since an item became dirty. An object of a first list, of which nothing was
// known at that time, may have been delivered before it changed again. Of deletions, other members may know less
// than we do.
func (p *Pipeline) raise(it *item) {
	if it.first.version < it.Version && it.place == parked && !it.Deleted {
		it.first.version = max(it.first.version, min(p.opts.Acknowledged(*it.typ, it.id)+1, it.Version))
	}
}

func include(in map[resource.Type]Unacknowledged, it *item, sure bool) {
	u := in[*it.typ]
	if it.place == quarantined {
		u.Refused = append(u.Refused, it.id)
		in[*it.typ] = u
		return
	}
	if !it.found && !sure {
		if len(u.IDs) == 0 || it.first.version < u.Version {
			u.Version = it.first.version
		}
		u.IDs = append(u.IDs, it.id)
	}
	if it.extra != nil && it.extra.inDoubt() {
		u.Doubtful = append(u.Doubtful, it.doubtful())
	}
	in[*it.typ] = u
}

// doubtful returns the report of an item in doubt.
func (it *item) doubtful() Doubt {
	return Doubt{ID: it.id, Version: it.Version, Acknowledged: !it.dirty(), Overwritable: it.overwritable()}
}

// Gained tells the pipeline that the objects that match have become ours again. Another member may have sent any
// of them in between, even if they were ours before, and even if the pipeline has noticed no change. That member may
// be in doubt about an object that we have kept for a doubt of our own. Its doubt is taken here, because such an
// object is not parked.
func (p *Pipeline) Gained(match Match) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for f := range p.flights.all {
		for i := range f.carried {
			f.carried[i].base = 0 // A handoff leaves few in flight.
		}
	}
	for id, it := range p.items.byID {
		watched := it.place == nowhere && !it.inFlight
		if it.base == 0 && !it.again && !watched || !match(*it.typ, id) {
			continue
		}
		it.base, it.again = 0, false
		if d, doubted := p.opts.Doubtful(id); doubted && watched {
			p.takeDoubt(it, d)
		}
	}
}

// Retry tries a receiver in trouble at once.
func (p *Pipeline) Retry() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaker.Retry(time.Now())
	p.wake.Wake()
}

// SetMaxInFlight changes the number of requests that may be under way, when members come and go.
func (p *Pipeline) SetMaxInFlight(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breaker.SetMaxInFlight(n)
	p.observe()
}
