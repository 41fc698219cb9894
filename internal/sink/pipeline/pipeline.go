package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/debounce"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Sender makes one attempt to deliver one request and says what came of it. It is called from several goroutines at
// once, never for the same ID at the same time. It must return soon after ctx ends.
type Sender interface {
	Send(ctx context.Context, r delivery.Request) wire.Outcome
}

// Sizer knows how large a body becomes.
type Sizer interface {
	UpsertSize(i wire.Item) int
	Overhead() int
}

// State is a state of an object, or its deletion, as members know it: by its version, and where versions are
// no numbers (0) by the digest of the state.
type State struct {
	Version, Digest uint64
	Deleted         bool
}

func stateOf(c index.Change) State {
	return State{Version: c.Record.ResourceVersion, Digest: c.Record.Digest, Deleted: c.Deleted}
}

// mark identifies a state: two of the same mark are the same to the receiver. It is never 0.
func (s State) mark() uint64 {
	if s.Deleted {
		return 1
	}
	return max(s.Digest, 2)
}

// Owner decides whose an object is. MaySend is called under the pipeline's lock, often: it must be quick and must not
// call back.
type Owner interface {
	MaySend(t resource.Type, id resource.ID) bool
}

// Match tells whether an object is among some.
type Match func(t resource.Type, id resource.ID) bool

// Options are the settings of a [Pipeline]. Durations of zero mean at once, unless stated otherwise.
type Options struct {
	// Target names the receiver in logs and metrics.
	Target string
	// Debounce is how long an object must be quiet before it is sent; MaxWait cuts the wait off.
	Debounce, MaxWait time.Duration
	// FlushInterval is how long due objects may wait for a batch to fill.
	FlushInterval time.Duration
	// MaxUpserts, MaxDeletes and MaxBytes bound one request. 0 means 50 upserts, 1000 deletes, 1 MiB.
	MaxUpserts, MaxDeletes, MaxBytes int
	// Settle is how long after the receiver's next answer a request of unknown outcome may still be applied. 0 means
	// 60 s; the slowest answer of the last ten minutes counts if it took longer. Repeats is how many times the last
	// word is repeated, once each Settle; 0 means 5, which covers receivers that hold a request for minutes
	// (cluster-whisperer's own limit towards its store is 300 s).
	Settle  time.Duration
	Repeats int
	// MaxBodyBytes bounds the memory for bodies of objects that wait. 0 means 32 MiB.
	MaxBodyBytes int64
	// Owner decides what is ours. nil means everything.
	Owner Owner
	// Covers tells whether the receiver is known to have a state of an object, or to have deleted it: an
	// object that a first list brings and that is covered needs no sending. It is called under the pipeline's lock. nil
	// means that nothing is known.
	Covers func(t resource.Type, id resource.ID, s State) bool
	// Delivered is told of each deletion that is acknowledged, once no older request can undo it any more,
	// and of each state whose version is no number. It is called under the pipeline's lock. nil tells nobody.
	Delivered func(id resource.ID, s State)
	// Acknowledged returns the version up to which every state of an object is known to be acknowledged. It
	// is called under the pipeline's lock. nil means that nothing is known.
	Acknowledged func(t resource.Type, id resource.ID) uint64
	// OwnedSince returns, for an object that is ours, a version at which it was already: what others have sent of it is
	// older. It is called under the pipeline's lock. nil means from the beginning.
	OwnedSince func(t resource.Type, id resource.ID) uint64
	// Doubtful tells of which objects another member that may have sent them says that a request of unknown outcome may
	// still be applied: the successor repeats their last word. nil means of none.
	Doubtful func(id resource.ID) (Doubt, bool)
	// Taken tells whether another member has an object for good, as its published claim says: a fence alone
	// takes nothing away. It is called without the pipeline's lock. nil means never.
	Taken func(t resource.Type, id resource.ID) bool
	// Observe is told the state of the breaker after every request, under the pipeline's lock. nil tells nobody.
	Observe func(delivery.State)
	// Log is for transitions, never for single objects, but for quarantined ones.
	Log logr.Logger
	// Registerer takes the metrics; nil switches them off.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.MaxUpserts, 50)
	def(&o.MaxDeletes, 1000)
	def(&o.MaxBytes, 1<<20)
	def(&o.Repeats, defaultRepeats)
	if o.Settle <= 0 {
		o.Settle = time.Minute
	}
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = 32 << 20
	}
	if o.Owner == nil {
		o.Owner = everything{}
	}
	if o.Covers == nil {
		o.Covers = func(resource.Type, resource.ID, State) bool { return false }
	}
	if o.Acknowledged == nil {
		o.Acknowledged = func(resource.Type, resource.ID) uint64 { return 0 }
	}
	if o.Delivered == nil {
		o.Delivered = func(resource.ID, State) {}
	}
	if o.OwnedSince == nil {
		o.OwnedSince = func(resource.Type, resource.ID) uint64 { return 0 }
	}
	if o.Doubtful == nil {
		o.Doubtful = func(resource.ID) (Doubt, bool) { return Doubt{}, false }
	}
	if o.Taken == nil {
		o.Taken = func(resource.Type, resource.ID) bool { return false }
	}
	return o
}

type everything struct{}

func (everything) MaySend(resource.Type, resource.ID) bool { return true }

// Pipeline delivers to one target. Create it with [New], feed it with [Pipeline.Apply] (it is an [index.Listener])
// and run it with [Pipeline.Run].
type Pipeline struct {
	opts   Options
	sender Sender
	sizer  Sizer
	log    logr.Logger
	wake   chan struct{} // one slot: there may be something to do

	mu            sync.Mutex // guards everything below
	breaker       *delivery.Breaker
	metrics       *metrics
	items         items
	types         map[resource.Type]*resource.Type
	window        *debounce.Window[*item]
	deletes       queue
	live          queue
	bulk          queue
	retried       [2]queue // by lane: what failed before
	alone         queue    // upserts that failed by themselves
	turns         turns
	sizes         [2]batchSize // by lane
	timers        timers       // last words to repeat, and what failed to try again
	lastWords     lastWords
	ages          ages
	counts        [numPlaces]int
	initial       map[*resource.Type]int        // items that their type's first list has brought
	evictedByType map[*resource.Type]int        // items without their bodies
	parked        map[*resource.Type]*[2]*queue // parked items; in the second queue those that are delivered by name

	flights      map[*flight]bool
	inFlight     int // requests
	inFlightOnly int // items that are in flight and nowhere else
	bodyBytes    int64
	flushBulk    bool          // no more bulk is coming: do not wait for a full batch
	draining     bool          // Flush was called: everything is due
	changed      chan struct{} // nil while nobody waits
	drains       []*drain
	ended        bool
	passed       [2]uint64 // requests delivered, by lane
	totals       Totals
	progress     Progress
}

// Totals count since the start.
type Totals struct {
	// Upserts and Deletes are acknowledged items, repeats included.
	Upserts, Deletes uint64
	// Coalesced are changes that were overtaken by a newer one, or undone, before they were sent.
	Coalesced uint64
	// Failed are requests that were not delivered, LastError what the receiver said to the last of them.
	Failed    uint64
	LastError string
	// LastDelivered is when a request was last delivered, zero for never.
	LastDelivered time.Time
	// Repeats are last words repeated after a request of unknown outcome.
	Repeats uint64
}

// Progress is how far the first sync has come.
type Progress struct {
	// Total is how many objects the first lists of the types have brought, Done how many of them are delivered, set
	// aside, or no longer there.
	Total, Done int
}

// New returns a pipeline with nothing to do.
func New(sender Sender, sizer Sizer, breaker *delivery.Breaker, opts Options) *Pipeline {
	opts = opts.withDefaults()
	p := &Pipeline{
		opts: opts, sender: sender, sizer: sizer, breaker: breaker,
		log:   opts.Log,
		wake:  make(chan struct{}, 1),
		items: items{byID: make(map[resource.ID]*item)}, flights: make(map[*flight]bool),
		types:  make(map[resource.Type]*resource.Type),
		window: debounce.New[*item](opts.Debounce, opts.MaxWait), ages: newAges(),
		initial: make(map[*resource.Type]int), evictedByType: make(map[*resource.Type]int), parked: make(map[*resource.Type]*[2]*queue),
		sizes: [2]batchSize{delivery.Upserts: newBatchSize(opts.MaxUpserts), delivery.Deletes: newBatchSize(opts.MaxDeletes)},
	}
	p.metrics = newMetrics(opts.Registerer, opts.Target, p)
	return p
}

// Apply takes a change. It implements [index.Listener].
func (p *Pipeline) Apply(c index.Change) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return
	}
	it, ok := p.items.byID[c.ID]
	if !ok && (c.Cause == index.Initial || c.Again) && p.opts.Covers(c.Type, c.ID, stateOf(c)) {
		if d, ok := p.opts.Doubtful(c.ID); ok {
			it = p.add(c.ID, c.Type)
			p.set(it, c.Deleted, c.Record)
			it.first = onset{p.ages.moment(now), c.Record.ResourceVersion}
			if !p.mine(it) {
				p.park(it) // Its owner may give it to us before the doubt is over.
				return
			}
			p.takeDoubt(it, d)
			p.watchOver(it, now)
		}
		return
	}
	if ok && c.Cause == index.Found && it.Deleted && (it.dirty() && c.After < it.Version || it.State == stateOf(c)) {
		// It was there before the deletion that is known, which is better than to know that it has happened
		// at some time. If it was there after that, it has been deleted again, and others may have sent it in
		// between.
		return
	}
	alone := c.After >= p.opts.OwnedSince(c.Type, c.ID)
	if (!ok || !it.dirty()) && c.Again && alone && p.opts.Owner.MaySend(c.Type, c.ID) {
		return // Nobody else has sent another state. Who is fenced cannot know: it may have been taken for dead.
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
		it.first.version = began.version // What is there now overrides a deletion that lies who knows how far back.
	}
	if !it.dirty() || it.offered { // What was offered is acknowledged.
		it.first = began
	} else {
		p.totals.Coalesced++
		p.metrics.coalesced.Inc()
	}
	if it.inFlight && !it.changed {
		it.later = began
	}
	if c.Cause == index.Initial && !it.initial {
		it.initial = true
		p.initial[it.typ]++
		p.progress.Total++
	}
	it.several = c.Listed || c.Again || it.dirty() && (it.several || it.mark() != stateOf(c).mark())
	p.set(it, c.Deleted, c.Record)
	it.found = c.Cause == index.Found
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
	p.wakeLoop()
}

// firstVersion is the lowest version at which the state that a change brings may have begun, and hence the lowest that is not
// acknowledged because of it. The version of the object itself will not do: a status update after the change
// that matters raises it.
func (p *Pipeline) firstVersion(c index.Change) uint64 {
	after := c.After
	if c.Cause == index.Initial {
		after = max(after, p.opts.Acknowledged(c.Type, c.ID))
	}
	return min(after+1, c.Record.ResourceVersion)
}

// unneeded tells whether an item has returned to what the receiver holds. What the receiver holds is known when the
// index knew the object before and nothing of it waited here, or when a request was acknowledged while a newer state
// waited; it is not known of the first list, of anything that a request was begun for since or another member may have
// sent, of what a resync asks for (the receiver may have lost it), and of an object that is created and
// deleted again before anything was sent: its deletion is sent, because the receiver may have a document of
// that ID from an earlier life of this process.
func (p *Pipeline) unneeded(it *item) bool {
	return it.base == it.mark() && !it.inFlight && it.extra == nil && p.opts.Owner.MaySend(*it.typ, it.id)
}

func (p *Pipeline) add(id resource.ID, t resource.Type) *item {
	typ, ok := p.types[t]
	if !ok {
		typ = &t
		p.types[t] = typ
	}
	it := &item{id: id, typ: typ}
	p.items.add(it)
	p.counts[nowhere]++
	return it
}

// set gives an item a new state.
func (p *Pipeline) set(it *item, deleted bool, r resource.Record) {
	it.State = State{Version: r.ResourceVersion, Digest: r.Digest, Deleted: deleted}
	it.changed, it.evicted, it.found, it.offered = true, false, false, false
	if deleted {
		p.setBody(it, "")
	} else {
		p.setBody(it, r.Body)
	}
	p.countUnsettled(it)
}

func (p *Pipeline) setBody(it *item, b resource.Body) {
	p.bodyBytes += int64(len(b) - len(it.body))
	it.body = b
}

// giveUp drops the body of an item, which cannot be sent then before it is filled.
func (p *Pipeline) giveUp(it *item) {
	if !it.Deleted {
		p.setBody(it, "")
		it.evicted = true
	}
}

// spare gives up the body of an item that will not be sent soon, if bodies take a quarter of what they may: what waits
// for others must leave room for what is to be sent ([Pipeline.Room] wants half).
func (p *Pipeline) spare(it *item) {
	if p.bodyBytes > p.opts.MaxBodyBytes/4 {
		p.giveUp(it)
	}
}

// mine tells whether we may send an item.
func (p *Pipeline) mine(it *item) bool {
	return p.opts.Owner.MaySend(*it.typ, it.id)
}

// park sets an item aside that another member sends. Nobody here waits for it any longer, and what the receiver holds
// is not known any more: the other may have sent a state in between, and crash before it has sent the last one.
func (p *Pipeline) park(it *item) {
	if it.place != parked && it.extra != nil {
		it.extra.toldUntil = time.Now().Add(p.doubtFor())
	}
	it.base = 0
	p.spare(it)
	p.move(it, parked)
	p.miss(it)
}

// route puts a dirty item where its state belongs. Whatever it was waiting in before, it is taken out of.
func (p *Pipeline) route(it *item, now time.Time, bulk bool) {
	it.bulk = bulk
	if it.place == parked && p.mine(it) { // It is ours since a moment ago, and its former owner may have left a doubt.
		if d, doubted := p.opts.Doubtful(it.id); doubted {
			p.takeDoubt(it, d)
		}
	}
	switch {
	case !p.mine(it):
		p.park(it)
	case it.inFlight:
		// Where it goes is decided when the request has ended; its debounce runs meanwhile.
		if it.Deleted {
			p.takeOut(it)
		} else {
			p.wait(it, now)
		}
	case it.Deleted:
		p.takeOut(it)
		p.enqueue(&p.deletes, it, now)
	case it.place == suspected && it.queue != &p.retried[delivery.Deletes], it.queue == &p.live:
		// It is about to be sent, and will be sent as it is now.
	case it.evicted:
		p.move(it, evicted)
	case p.bodyBytes > p.opts.MaxBodyBytes:
		p.giveUp(it)
		p.move(it, evicted)
	case it.bulk:
		p.takeOut(it)
		p.enqueue(&p.bulk, it, now)
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

func (p *Pipeline) enqueue(q *queue, it *item, now time.Time) {
	it.readyAt = p.ages.moment(now)
	q.pushBack(it)
	p.setPlace(it, queued)
}

// takeOut removes an item from wherever it waits; it is nowhere then.
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
	p.counts[it.place]--
	p.counts[to]++
	if n := one(to == evicted) - one(it.place == evicted); n != 0 {
		count(p.evictedByType, it.typ, n)
	}
	if it.place == parked && it.queue != nil {
		it.queue.remove(it)
	}
	if to == parked {
		p.parkedQueue(it).pushBack(it)
	}
	if it.inFlight {
		p.inFlightOnly += one(to == nowhere) - one(it.place == nowhere)
	}
	it.place = to
	p.ages.note(it)
}

// parkedQueue is where an item of that type is parked.
func (p *Pipeline) parkedQueue(it *item) *queue {
	queues := p.parked[it.typ]
	if queues == nil {
		queues = &[2]*queue{{}, {}}
		p.parked[it.typ] = queues
	}
	return queues[one(it.Deleted || it.Version == 0)]
}

// count adds n to what is counted of a type.
func count(of map[*resource.Type]int, t *resource.Type, n int) {
	if of[t] += n; of[t] == 0 {
		delete(of, t)
	}
}

// setInFlight notes that a request which holds the item has begun or ended.
func (p *Pipeline) setInFlight(it *item, inFlight bool) {
	if it.place == nowhere {
		p.inFlightOnly += one(inFlight) - one(it.inFlight)
	}
	it.inFlight = inFlight
	p.ages.note(it)
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// forget drops an item that the receiver is known to have in its current state.
func (p *Pipeline) forget(it *item) {
	p.takeOut(it)
	p.timers.remove(it)
	if it.extra != nil {
		it.extra.unsure, it.extra.repeats = false, 0
		p.countUnsettled(it)
	}
	p.setBody(it, "")
	p.arrived(it)
	p.counts[nowhere]--
	p.items.remove(it)
	p.notify()
}

// arrived tells those who count that an item is delivered or set aside.
func (p *Pipeline) arrived(it *item) {
	if it.initial {
		it.initial = false
		count(p.initial, it.typ, -1)
		p.progress.Done++
	}
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

// wakeLoop wakes the loop.
func (p *Pipeline) wakeLoop() {
	select {
	case p.wake <- struct{}{}:
	default: // It will look anyway.
	}
}

// notify wakes those who wait for the backlog to shrink.
func (p *Pipeline) notify() {
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}

// nextChange returns a channel that is closed at the next notify.
func (p *Pipeline) nextChange() <-chan struct{} {
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}
