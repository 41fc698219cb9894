package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/batch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// Run delivers until ctx ends, then cancels the requests in flight, waits for them, and returns nil. Items that
// are not delivered by then stay counted in [Pipeline.Stats]. Call it once.
func (p *Pipeline) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait := p.step(ctx, &senders)
		p.askTaken()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-timer.C:
		}
	}
	senders.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.life = ended
	for _, it := range p.items.byID { // Callers that wait for these would wait for ever.
		p.arrived(it)
	}
	for s, b := range p.items.allStubs() {
		it := s.item(b)
		p.arrived(&it)
		b.initial = false
	}
	p.backlog.give()
	p.record.remove()
	return nil
}

// step starts all requests that may start at this moment, and returns how long to sleep unless woken.
func (p *Pipeline) step(ctx context.Context, senders *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.collectDue(now)
	for ctx.Err() == nil {
		f := p.next(now)
		if f == nil {
			break
		}
		p.launch(ctx, f, senders)
	}
	return p.sleep(now)
}

// collectDue moves items that have become due to the queues.
func (p *Pipeline) collectDue(now time.Time) {
	for {
		it, ok := p.window.Pop(now)
		if !ok && p.life == draining {
			it, ok = p.window.PopAny()
		}
		if !ok {
			break
		}
		p.setPlace(it, nowhere)
		p.ready(it, now)
	}
	for it := range p.timers.due(now) {
		switch it.place {
		case quarantined:
			p.retryQuarantined(it, now)
		case suspected:
			p.takeOut(it)
			p.retry(it, now)
		case nowhere, waiting, queued, parked, evicted, numPlaces:
			p.repeat(it, now)
		}
	}
}

// ready puts an item whose debounce has ended into the place from which it is sent.
func (p *Pipeline) ready(it *item, now time.Time) {
	switch {
	case it.inFlight:
		it.dueEarly = true
	case it.evicted:
		p.setPlace(it, evicted)
	case it.limit() > 0:
		p.takeOut(it)
		p.retry(it, now)
	default:
		p.enqueue(classLive, it, now)
	}
}

// next chooses the next request. It returns nil when no item is due.
func (p *Pipeline) next(now time.Time) *flight {
	for {
		c, ok := p.queues.turns.next(func(c class) bool { return p.breaker.Allow(now, c.lane()) && p.due(c, now) })
		if !ok {
			return nil
		}
		if f := p.take(c); f != nil {
			return f
		}
	}
}

// due tells whether a class holds a full batch, or an item that need not wait for one.
func (p *Pipeline) due(c class, now time.Time) bool {
	q := p.queues.of(c)
	switch {
	case q.front == nil:
		return false
	case c == classAlone && !p.breaker.Closed(delivery.Upserts):
		// Items that fail whether or not the receiver is well make bad probes, if there are any others.
		return p.queues.of(classLive).front == nil && p.queues.of(classRetried).front == nil && p.queues.of(classBulk).front == nil
	case c != classLive && c != classBulk, q.len >= p.lanes[delivery.Upserts].size.now, p.life == draining:
		return true
	case c == classBulk && p.queues.flushBulk:
		return true
	default:
		return !now.Before(p.ages.time(q.front.readyAt).Add(p.opts.FlushInterval))
	}
}

// take fills one request of a class. As long as all requests pass, a live batch that is not full takes bulk
// along.
func (p *Pipeline) take(c class) *flight {
	f := &flight{deletes: c.deletes(), retried: c == classRetried || c == classRetriedDeletes || c == classAlone}
	size := &p.lanes[f.lane()].size
	most := size.now
	if !p.breaker.Closed(f.lane()) {
		most = 1 // A probe asks whether the receiver is well: one object is the least likely to fail by its own fault.
	}
	b := batch.NewBuilder(batch.Limits{
		Count: most, Bytes: min(p.opts.MaxBytes, p.breaker.MaxBytes()), Overhead: p.sizer.Overhead(),
	})
	p.fillFrom(p.queues.of(c), &b, f)
	if c == classLive && most > 1 && size.well() {
		p.fillFrom(p.queues.of(classBulk), &b, f)
	}
	if len(f.items) == 0 {
		return nil
	}
	p.backlog.give()
	return f
}

// fillFrom takes items from a queue as long as they fit and may travel together. On the way it parks items that
// have ceased to be ours.
func (p *Pipeline) fillFrom(q *queue, b *batch.Builder, f *flight) {
	most := 0
	for q.front != nil && !b.Full() {
		it := q.front
		if !p.mine(it) {
			p.park(it)
			continue
		}
		if l := it.limit(); l > 0 && f.retried {
			if most == 0 || l < most {
				most = l
			}
		}
		if most > 0 && len(f.items) >= most || !b.Add(p.size(it)) {
			break
		}
		f.whole = f.whole || f.retried && it.extra != nil && it.extra.whole
		p.takeOut(it)
		f.items = append(f.items, it)
	}
}

// size returns the number of bytes that an item takes in a request, or a little more.
func (p *Pipeline) size(it *item) int {
	if it.Deleted {
		return deletionSize(it.id)
	}
	return p.sizer.UpsertSize(it.wire())
}

// deletionSize bounds the bytes of a deletion in either format: its ID, or the ID's parts with the names of four
// fields (53 bytes and a comma). Names of RBAC objects may hold any character but a slash and a percent sign, and
// no escape is longer than six bytes for one of the name.
func deletionSize(id resource.ID) int {
	n := 64
	for i := range len(id) {
		if c := id[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			n += 6
		} else {
			n++
		}
	}
	return n
}

// launch sends a flight in a goroutine of its own. [Pipeline.Run] waits for the goroutine.
func (p *Pipeline) launch(ctx context.Context, f *flight, senders *sync.WaitGroup) {
	var r delivery.Request
	for _, it := range f.items {
		p.setInFlight(it, true)
		f.carried = append(f.carried, cargo{it.mark(), it.base})
		it.changed, it.dueEarly, it.base = false, false, 0 // The receiver may hold the one state or the other.
		if f.deletes {
			r.Deletes = append(r.Deletes, it.id)
		} else {
			r.Upserts = append(r.Upserts, it.wire())
		}
	}
	f.attempt = p.breaker.Begin(f.lane())
	ctx, f.cancel = context.WithCancel(ctx)
	p.flights.all[f] = true
	senders.Go(func() {
		o := p.sender.Send(ctx, r)
		f.cancel()
		p.complete(f, o)
		p.wake.Wake()
	})
}

// sleep returns how long no item will become due by itself. The end of a request wakes the loop, too.
func (p *Pipeline) sleep(now time.Time) time.Duration {
	d := time.Hour
	until := func(at time.Time, ok bool) {
		if ok {
			d = min(d, max(at.Sub(now), 0))
		}
	}
	until(p.window.Next())
	until(p.timers.next())
	for c := range numClasses {
		q, lane := p.queues.of(c), c.lane()
		switch {
		case q.front == nil:
		case p.breaker.Allow(now, lane):
			until(p.ages.time(q.front.readyAt).Add(p.opts.FlushInterval), c == classLive || c == classBulk)
		default:
			if w := p.breaker.Wait(now, lane); w > 0 {
				d = min(d, w)
			}
		}
	}
	return max(d, time.Millisecond)
}

// MaySendChanged tells the pipeline that the answers of its [Owner] have changed for some objects.
func (p *Pipeline) MaySendChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var gained []*item
	for _, it := range p.items.byID {
		ours := p.mine(it)
		switch it.place {
		case parked:
			if ours {
				gained = append(gained, it)
			}
		case waiting, queued, suspected, evicted, quarantined:
			if !ours {
				p.park(it)
			}
		case nowhere, numPlaces:
		}
	}
	for _, i := range resource.HashOrder(len(gained), func(i int) uint64 { return gained[i].id.Hash() }) {
		p.unpark(gained[i], now)
	}
	p.moveStubs(now)
	p.backlog.give()
	p.wake.Wake()
}
