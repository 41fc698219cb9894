package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/debounce"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// Sender makes one attempt to deliver one request and returns the outcome. Several goroutines call it at once,
// never for the same ID at the same time. It must return soon after ctx ends.
type Sender interface {
	Send(ctx context.Context, r delivery.Request) wire.Outcome
}

// Sizer knows the size of a body before it is built.
type Sizer interface {
	UpsertSize(i wire.Item) int
	Overhead() int
}

// State is a state of an object, or its deletion, as members know it. They know it by its version, and where
// versions are no numbers (0) by the digest.
type State struct {
	Version, Digest uint64
	Deleted         bool
	// Lost tells that our watch had lost it, and that a list has brought it: what we have said of its object was wrong.
	Lost bool
}

func stateOf(c index.Change) State {
	return State{Version: c.Record.ResourceVersion, Digest: c.Record.Digest, Deleted: c.Deleted, Lost: c.Lost}
}

// named tells that other members know the state by its name among all members, and not by its version.
func (s State) named() bool { return s.Deleted || s.Version == 0 || s.Lost }

// mark identifies a state: two states of the same mark are the same to the receiver. It is never 0.
func (s State) mark() uint64 {
	if s.Deleted {
		return 1
	}
	return max(s.Digest, 2)
}

// Owner decides which member owns an object. MaySend is called under the pipeline's lock, often: it must be quick
// and must not call back.
type Owner interface {
	MaySend(t resource.Type, id resource.ID) bool
}

// Match tells whether an object belongs to a set.
type Match func(t resource.Type, id resource.ID) bool

// Pipeline delivers to one target. Create it with [New], feed it with [Pipeline.Apply] (it is an [index.Listener])
// and run it with [Pipeline.Run].
type Pipeline struct {
	opts   Options
	sender Sender
	sizer  Sizer
	wake   wake.Slot // there may be work to do

	mu        sync.Mutex // guards everything below
	life      life
	breaker   *delivery.Breaker
	lanes     [2]lane // by delivery.Lane
	items     items
	window    *debounce.Window[*item]
	queues    queues
	flights   flights
	timers    timers // last words to repeat, and failed items to try again
	lastWords lastWords
	ages      ages
	tally     tally
	record    record
	backlog   signal // that the backlog may have shrunk
}

// life is the stage of a pipeline's life.
//
//	open ──Flush──▶ draining ──the end of Run──▶ ended
//	  └──────────────the end of Run───────────────▲
type life uint8

const (
	open     life = iota
	draining      // every item is due
	ended
)

func (l life) String() string { return [...]string{"open", "draining", "ended"}[l] }

// New returns a pipeline without any item.
func New(sender Sender, sizer Sizer, breaker *delivery.Breaker, opts Options) *Pipeline {
	opts = opts.withDefaults()
	p := &Pipeline{
		opts: opts, sender: sender, sizer: sizer, breaker: breaker,
		wake:    wake.New(),
		items:   items{byID: make(map[resource.ID]*item), stubs: make(map[*resource.Type]*stubs), types: make(map[resource.Type]*resource.Type)},
		flights: flights{all: make(map[*flight]bool)},
		queues:  queues{parked: make(map[*resource.Type]*[2]queue)},
		window:  debounce.New[*item](opts.Debounce, opts.MaxWait),
		lanes:   [2]lane{delivery.Upserts: newLane(opts.MaxUpserts), delivery.Deletes: newLane(opts.MaxDeletes)},
		ages:    newAges(),
		tally:   newTally(),
	}
	p.record.metrics = newMetrics(opts.Registerer, opts.Target, p)
	return p
}

// Apply takes a change. It implements [index.Listener].
func (p *Pipeline) Apply(c index.Change) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == ended {
		return
	}
	it, ok := p.item(c.Type, c.ID)
	if !ok && (c.Cause == index.Initial || c.Again) && p.opts.Covers(c.Type, c.ID, stateOf(c)) {
		if d, ok := p.opts.Doubtful(c.ID); ok {
			it = p.add(c.ID, c.Type)
			p.set(it, c.Deleted, c.Record)
			it.first = onset{p.ages.moment(now), c.Record.ResourceVersion}
			if !p.mine(it) {
				p.park(it) // The item's owner may give it to us before the doubt is over.
				return
			}
			p.takeDoubt(it, d)
			p.watchOver(it, now)
		}
		return
	}
	if ok && c.Cause == index.Found && it.Deleted &&
		(it.dirty() && c.After < it.Version || c.Record.ResourceVersion < it.Version || it.State == stateOf(c)) {
		// The object was found to exist before the known deletion, which is better evidence because it has a version.
		// If the object existed after that, it has been deleted again, and others may have sent it in between. So a
		// delivered deletion only takes the place of those that happened before it.
		return
	}
	alone := c.After >= p.opts.OwnedSince(c.Type, c.ID)
	if (!ok || !it.dirty()) && c.Again && alone && p.opts.Owner.MaySend(c.Type, c.ID) {
		return // No other member has sent another state. A fenced member cannot know: it may have been taken for dead.
	}
	if !ok {
		it = p.add(c.ID, c.Type)
		if c.Known && c.Cause == index.Live && !c.Again && alone {
			it.base = State{Digest: c.Previous}.mark()
		}
	}
	it.again = c.Again && alone && (it.again || !ok)
	began := onset{p.ages.moment(now), p.firstVersion(c)}
	if it.found && !c.Deleted {
		it.first.version = began.version // The present state overrides a deletion of unknown age.
	}
	if !it.dirty() || it.offered { // An offered state is acknowledged.
		it.first = began
	} else {
		p.record.coalesced()
	}
	if it.inFlight && !it.changed {
		it.later = began
	}
	if c.Cause == index.Initial {
		p.tally.came(it)
	}
	it.several = c.Listed || c.Again || precedes(c) || it.dirty() && (it.several || it.mark() != stateOf(c).mark())
	p.set(it, c.Deleted, c.Record)
	it.Lost, it.found = c.Lost, c.Cause == index.Found
	p.items.lost = p.items.lost || c.Lost
	if !ok {
		if d, doubted := p.opts.Doubtful(c.ID); doubted && p.takeDoubt(it, d) && p.opts.Owner.MaySend(c.Type, c.ID) {
			p.watchOver(it, now)
			return
		}
	}
	if p.unneeded(it) {
		p.forget(it)
		return
	}
	p.route(it, now, c.Cause == index.Initial)
	if c.Cause == index.Initial {
		p.shorten(it, c.Key)
	}
	p.wake.Wake()
}

// precedes tells of a deletion that was found whether its version is that of the state before: a former owner may be
// in doubt about that state.
func precedes(c index.Change) bool {
	return c.Cause == index.Found && c.After > 0 && c.After == c.Record.ResourceVersion
}

// firstVersion returns the lowest version at which the state that a change brings may have begun. It is the
// lowest version that the change leaves unacknowledged. The version of the object itself would be too high,
// because a status update after the change that matters raises it.
func (p *Pipeline) firstVersion(c index.Change) uint64 {
	after := c.After
	if c.Cause == index.Initial {
		after = max(after, p.opts.Acknowledged(c.Type, c.ID))
	}
	return min(after+1, c.Record.ResourceVersion)
}

// unneeded tells whether an item has returned to the state that the receiver holds. That state is known when the
// index knew the object before and the pipeline had no item of it. It is also known when a request was
// acknowledged while a newer state waited. It is not known of an object of the first list, and not after a
// request for the object has begun or another member may have sent it. It is not known of an object that a resync
// asks for, because the receiver may have lost it. It is not known of an object that is created and deleted
// before it was sent. The deletion is sent, because the receiver may have a document of that ID from an earlier
// process.
func (p *Pipeline) unneeded(it *item) bool {
	return it.base == it.mark() && !it.inFlight && it.extra == nil && p.opts.Owner.MaySend(*it.typ, it.id)
}

func (p *Pipeline) add(id resource.ID, t resource.Type) *item {
	it := &item{id: id, typ: p.items.typ(t)}
	p.items.add(it)
	p.tally.places[nowhere]++
	return it
}

// set gives an item a new state. A state older than one that a former owner may have sent has no body.
func (p *Pipeline) set(it *item, deleted bool, r resource.Record) {
	it.State = State{Version: r.ResourceVersion, Digest: r.Digest, Deleted: deleted}
	it.changed, it.evicted, it.found, it.offered = true, false, false, false
	if deleted {
		p.tally.setBody(it, "")
	} else {
		p.tally.setBody(it, r.Body)
	}
	switch {
	case it.behind():
		p.giveUp(it)
	case it.extra != nil && it.Version >= it.extra.behind:
		it.extra.behind = 0
	}
	p.tally.setUnsettled(it)
}

// giveUp drops the body of an item, which cannot be sent then before it is filled.
func (p *Pipeline) giveUp(it *item) {
	if !it.Deleted {
		p.tally.setBody(it, "")
		it.evicted = true
	}
}

// spare drops the body of an item that will not be sent soon, if bodies take a quarter of their limit. Items that
// wait for others must leave room for those that are about to be sent ([Pipeline.Room] wants half).
func (p *Pipeline) spare(it *item) {
	if p.tally.bodyBytes > p.opts.MaxBodyBytes/4 || it.bulk && p.tally.places[parked] >= maxBulk {
		p.giveUp(it)
	}
}

// mine tells whether we may send an item.
func (p *Pipeline) mine(it *item) bool {
	return p.opts.Owner.MaySend(*it.typ, it.id)
}

// park sets an item aside that another member sends. No caller here waits for it then. The state that the
// receiver holds becomes unknown: the other member may have sent a state in between, and crash before it has sent
// the last one.
func (p *Pipeline) park(it *item) {
	if it.place != parked && it.extra != nil {
		it.extra.toldUntil = time.Now().Add(p.doubtFor())
	}
	it.base = 0
	p.spare(it)
	p.move(it, parked)
	p.miss(it)
}

// route puts a dirty item where its state belongs, and takes it out of the place where it waited before.
func (p *Pipeline) route(it *item, now time.Time, bulk bool) {
	it.bulk = bulk
	if it.place == parked && p.mine(it) { // It has just become ours, and its former owner may have left a doubt.
		if d, doubted := p.opts.Doubtful(it.id); doubted {
			p.takeDoubt(it, d)
		}
	}
	switch {
	case !p.mine(it):
		p.park(it)
	case it.inFlight:
		// Its place is decided when the request has ended; its debounce runs meanwhile.
		if it.Deleted {
			p.takeOut(it)
		} else {
			p.wait(it, now)
		}
	case it.Deleted:
		p.takeOut(it)
		p.enqueue(classDeletes, it, now)
	case it.evicted:
		p.move(it, evicted)
	case it.place == suspected && it.queue != p.queues.of(classRetriedDeletes), it.queue == p.queues.of(classLive):
		// It is about to be sent, and will be sent in its state of that moment.
	case p.tally.bodyBytes > p.opts.MaxBodyBytes, it.bulk && p.queues.of(classBulk).len >= maxBulk:
		p.giveUp(it)
		p.move(it, evicted)
	case it.bulk:
		p.takeOut(it)
		p.enqueue(classBulk, it, now)
	default:
		p.wait(it, now)
	}
}

// wait starts the debounce of an item, or starts it anew; the max wait goes on.
func (p *Pipeline) wait(it *item, now time.Time) {
	if it.place != waiting {
		p.move(it, waiting)
	}
	p.window.Touch(it, now)
}

func (p *Pipeline) enqueue(c class, it *item, now time.Time) {
	it.readyAt = p.ages.moment(now)
	p.queues.of(c).pushBack(it)
	p.setPlace(it, queued)
}

// takeOut removes an item from the place where it waits; it is nowhere then.
func (p *Pipeline) takeOut(it *item) {
	switch it.place {
	case waiting:
		p.window.Remove(it)
	case queued:
		it.queue.remove(it)
	case suspected, quarantined:
		if it.queue != nil {
			it.queue.remove(it)
		}
		p.timers.remove(it)
	case nowhere, parked, evicted, numPlaces:
	}
	p.setPlace(it, nowhere)
}

func (p *Pipeline) move(it *item, to place) {
	p.takeOut(it)
	p.setPlace(it, to)
}

func (p *Pipeline) setPlace(it *item, to place) {
	if it.place == parked && it.queue != nil {
		it.queue.remove(it)
	}
	if to == parked {
		p.queues.parkedOf(it).pushBack(it)
	}
	p.tally.setPlace(it, to)
	p.ages.note(it)
}

// setInFlight notes that a request which holds the item has begun or ended.
func (p *Pipeline) setInFlight(it *item, inFlight bool) {
	p.tally.setInFlight(it, inFlight)
	p.ages.note(it)
}

// forget drops an item that the receiver is known to have in its current state.
func (p *Pipeline) forget(it *item) {
	p.takeOut(it)
	p.timers.remove(it)
	if it.extra != nil {
		it.extra.unsure, it.extra.repeats = false, 0
		p.tally.setUnsettled(it)
	}
	p.tally.setBody(it, "")
	p.arrived(it)
	p.tally.places[nowhere]--
	p.items.remove(it)
	p.backlog.give()
}

// arrived tells the counters that an item is delivered or set aside.
func (p *Pipeline) arrived(it *item) {
	p.tally.arrived(it)
	if it.extra != nil {
		for _, t := range it.extra.tickets {
			t.done()
		}
		it.extra.tickets = nil
	}
}

// miss is arrived for an item that another member sends.
func (p *Pipeline) miss(it *item) {
	if it.extra != nil {
		for _, t := range it.extra.tickets {
			t.miss()
		}
	}
	p.arrived(it)
}
