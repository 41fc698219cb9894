package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// bulkBatches is the number of full requests of bulk traffic that may wait. It is enough to keep the receiver
// busy while the next page is read, and holds only a page or two of metadata.
const bulkBatches = 8

// Ticket counts the objects of one resync that are still to be delivered. Create it with [NewTicket].
type Ticket struct {
	mu         sync.Mutex
	open       int
	total      int
	missed     int
	closed     bool
	allArrived chan struct{}
}

// NewTicket returns a ticket without any object.
func NewTicket() *Ticket { return &Ticket{allArrived: make(chan struct{})} }

func (t *Ticket) add() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open++
	t.total++
}

func (t *Ticket) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open--
	t.finish()
}

func (t *Ticket) finish() {
	if t.closed && t.open == 0 {
		close(t.allArrived)
	}
}

func (t *Ticket) miss() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.missed++
}

// Missed returns the number of objects that were not ours to send when they were offered, or ceased to be ours
// before they had arrived.
func (t *Ticket) Missed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.missed
}

// Close says that no more objects will be offered under the ticket. Call it once.
func (t *Ticket) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	t.finish()
}

// Arrived is closed once the ticket is closed and every object offered under it is delivered, set aside, or gone.
func (t *Ticket) Arrived() <-chan struct{} { return t.allArrived }

// Count returns how many objects were offered under the ticket and how many of them have not arrived.
func (t *Ticket) Count() (total, open int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total, t.open
}

// Offer sends an object's state again, as a resync does, behind all live changes. Where a newer state is on its
// way already, the ticket waits for that one instead. A quarantined object is tried again. Whatever is known of
// earlier deliveries, the object arrives by a request that begins after the offer: the receiver may have applied an
// earlier one, and lost it, before the resync was asked for.
//
// The caller must make sure that r is the state that the index knows at this moment, and that no change of the
// object is applied meanwhile. To do so, it calls Offer from within [index.Index.IfCurrent].
func (p *Pipeline) Offer(t resource.Type, r resource.Record, ticket *Ticket) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.life == ended {
		return
	}
	id := t.ID(r.Namespace, r.Name)
	if !p.opts.Owner.MaySend(t, id) {
		ticket.miss()
		return
	}
	it, ok := p.item(t, id)
	if !ok {
		it = p.add(id, t)
		if _, doubted := p.opts.Doubtful(id); doubted {
			p.doubt(it, 0)
		}
	}
	ticket.add()
	x := it.withExtra()
	x.tickets = append(x.tickets, ticket)
	if it.place == parked { // MaySendChanged is about to come. Until then the item could be forgotten as covered.
		p.unpark(it, now)
	}
	switch {
	case it.place == quarantined || it.place == evicted:
		p.fill(it, r, now)
	case it.inFlight && !it.changed:
		it.changed, it.later, it.bulk = true, onset{p.ages.moment(now), r.ResourceVersion}, true
	case it.dirty():
		// Its current state waits for a request.
	default:
		p.set(it, false, r)
		it.first = onset{p.ages.moment(now), r.ResourceVersion}
		it.offered = true
		p.route(it, now, true)
	}
	p.queues.flushBulk = false
	p.wake.Wake()
}

// FlushBulk says that no more objects are offered for the present, so that a last batch need not wait to be full.
func (p *Pipeline) FlushBulk() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queues.flushBulk = true
	p.wake.Wake()
}

// Room blocks until the receiver has caught up with the bulk traffic offered before, or ctx ends. So a resync
// reads the next page no sooner than it is needed.
func (p *Pipeline) Room(ctx context.Context) error {
	return p.await(ctx, func() bool {
		return p.queues.of(classBulk).len < bulkBatches*p.opts.MaxUpserts && p.tally.bodyBytes <= p.opts.MaxBodyBytes/2
	})
}

// Evicted returns the types of which some objects wait without their bodies. The value tells whether one of them may
// be behind its former owner, and so needs an exact list.
func (p *Pipeline) Evicted() map[resource.Type]bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.tally.places[evicted] == 0 {
		return nil
	}
	types := make(map[resource.Type]bool, len(p.tally.evicted))
	for t := range p.tally.evicted {
		types[*t] = false
	}
	if p.items.late {
		p.items.late = false
		for _, it := range p.items.byID {
			if it.behind() {
				p.items.late = true
				types[*it.typ] = types[*it.typ] || it.place == evicted
			}
		}
	}
	return types
}

// Fill gives an evicted item its body back; on any other object it does nothing. The caller must make sure that r
// is the state that the index knows at this moment, as for [Pipeline.Offer]. exact tells that r is of an exact list. An
// item that is behind its former owner takes no older state from another list.
func (p *Pipeline) Fill(t resource.Type, r resource.Record, exact bool) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	id := t.ID(r.Namespace, r.Name)
	if _, b := p.stubOf(t, id); b != nil && (b.parked || !p.opts.Owner.MaySend(t, id)) {
		return // As in a fence: otherwise all stubs would become parked items.
	}
	if it, ok := p.item(t, id); ok && it.place == evicted && (exact || !it.behind() || r.ResourceVersion >= it.extra.behind) {
		p.fill(it, r, now)
		p.wake.Wake()
	}
}

func (p *Pipeline) fill(it *item, r resource.Record, now time.Time) {
	p.takeOut(it)
	if it.extra != nil {
		it.extra.behind = 0 // The list shows what the API server has now.
	}
	offered, lost := it.offered, it.Lost
	p.set(it, false, r)
	it.offered, it.Lost = offered, lost
	switch {
	case !p.mine(it):
		p.park(it)
	case it.limit() > 0:
		p.retry(it, now)
	case it.bulk:
		p.enqueue(classBulk, it, now)
	default:
		p.enqueue(classLive, it, now)
	}
}
