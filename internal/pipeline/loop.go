package pipeline

import (
	"context"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/batch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// flight is one request under way.
type flight struct {
	items   []*item
	deletes bool
	group   *group // nil for a batch that has not failed before
}

// Run delivers until ctx ends, then cancels the requests in flight, waits for them, and returns nil. What is not
// delivered by then stays counted in [Pipeline.Stats]. Call it once.
func (p *Pipeline) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(p.step(ctx, &senders))
		select {
		case <-ctx.Done():
		case <-p.wake:
		case <-timer.C:
		}
	}
	senders.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, it := range p.items { // whoever waits for these would wait for ever
		p.arrived(it)
	}
	p.notify()
	p.metrics.remove()
	return nil
}

// step starts all requests that may start now, and returns how long to sleep unless woken.
func (p *Pipeline) step(ctx context.Context, senders *sync.WaitGroup) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.collectDue(now)
	for ctx.Err() == nil && p.gate.Allow(now, p.inFlight) {
		f := p.next(now)
		if f == nil {
			break
		}
		p.launch(ctx, f, senders)
	}
	return p.sleep(now)
}

// collectDue moves what has become due to the queues.
func (p *Pipeline) collectDue(now time.Time) {
	for {
		it, ok := p.window.Pop(now)
		if !ok && p.draining {
			it, ok = p.window.PopAny()
		}
		if !ok {
			break
		}
		p.setPlace(it, nowhere)
		p.ready(it, now)
	}
	for it := range p.settles.due(now) {
		p.repeat(it, now)
	}
	for it := range p.retries.due(now) {
		p.retryQuarantined(it, now)
	}
}

// ready puts an item whose debounce has ended where it will be sent from.
func (p *Pipeline) ready(it *item, now time.Time) {
	switch {
	case it.inFlight:
		it.dueEarly = true
	case it.bare:
		p.setPlace(it, hollow)
	case it.alone:
		p.suspectAlone(it, now)
	default:
		p.enqueue(&p.live, it, now)
	}
}

// next chooses what to send: deletes, then live changes, then what failed before, then bulk. A live batch that is
// not full is filled up with bulk. It returns nil when nothing is due.
func (p *Pipeline) next(now time.Time) *flight {
	if f := p.take(true, &p.deletes); f != nil {
		return f
	}
	if p.due(&p.live, now) {
		if f := p.take(false, &p.live, &p.bulk); f != nil {
			return f
		}
	}
	if g := p.suspect.next(now); g != nil {
		return p.takeGroup(g)
	}
	if p.due(&p.bulk, now) {
		return p.take(false, &p.bulk)
	}
	return nil
}

// due tells whether a queue holds a full batch, or something that has waited for long enough.
func (p *Pipeline) due(q *queue, now time.Time) bool {
	switch {
	case q.front == nil:
		return false
	case q.len >= p.opts.MaxUpserts, p.draining:
		return true
	case q == &p.bulk && p.flushBulk:
		return true
	default:
		return !now.Before(q.front.readyAt.Add(p.opts.FlushInterval))
	}
}

// take fills one request from the queues, in their order. Items that are not ours any more are parked on the way.
func (p *Pipeline) take(deletes bool, queues ...*queue) *flight {
	count := p.opts.MaxUpserts
	if deletes {
		count = p.opts.MaxDeletes
	}
	b := batch.NewBuilder(batch.Limits{
		Count: count, Bytes: min(p.opts.MaxBytes, p.gate.MaxBytes()), Overhead: p.sizer.Overhead(),
	})
	f := &flight{deletes: deletes}
	for _, q := range queues {
		for q.front != nil && !b.Full() {
			it := q.front
			if !p.mine(it) {
				p.park(it)
				continue
			}
			if !b.Add(p.size(it)) {
				break
			}
			p.takeOut(it)
			f.items = append(f.items, it)
		}
	}
	if len(f.items) == 0 {
		return nil
	}
	p.notify()
	return f
}

// size is what an item takes in a request, or a little more.
func (p *Pipeline) size(it *item) int {
	if it.deleted {
		return deletionSize(it.id)
	}
	return p.sizer.UpsertSize(it.wire())
}

// deletionSize bounds what a deletion takes in either format: its ID, or the ID's parts with the names of four fields
// (53 bytes and a comma). Names of RBAC objects may hold anything but a slash and a percent sign, and no escape is longer
// than six bytes for one of the name.
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

// launch sends a flight in a goroutine of its own, which [Pipeline.Run] waits for.
func (p *Pipeline) launch(ctx context.Context, f *flight, senders *sync.WaitGroup) {
	var r delivery.Request
	for _, it := range f.items {
		p.setInFlight(it, true)
		it.sentSeq, it.dueEarly = it.seq, false
		if it.rare != nil {
			it.rare.sentFor = it.rare.permit
		}
		it.base, it.baseKnown = it.digest, false // until it is acknowledged, the receiver may hold the one or the other
		if f.deletes {
			r.Deletes = append(r.Deletes, it.id)
		} else {
			r.Upserts = append(r.Upserts, it.wire())
		}
	}
	p.inFlight++
	senders.Go(func() {
		o := p.sender.Send(ctx, r)
		p.land(f, o)
		p.poke()
	})
}

// sleep returns how long nothing will become due by itself.
func (p *Pipeline) sleep(now time.Time) time.Duration {
	d := time.Hour
	until := func(at time.Time, ok bool) {
		if ok {
			d = min(d, max(at.Sub(now), 0))
		}
	}
	until(p.window.Next())
	until(p.settles.next())
	until(p.retries.next())
	if !p.gate.Allow(now, p.inFlight) {
		if w := p.gate.Wait(now); w > 0 {
			d = min(d, w)
		}
		return max(d, time.Millisecond) // a request's end wakes the loop, too
	}
	for _, q := range []*queue{&p.live, &p.bulk} {
		if q.front != nil {
			until(q.front.readyAt.Add(p.opts.FlushInterval), true)
		}
	}
	until(p.suspect.wakeAt())
	return max(d, time.Millisecond)
}

// MaySendChanged tells the pipeline that its [Owner] has changed its mind about some objects.
func (p *Pipeline) MaySendChanged() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	var gained []*item
	for _, it := range p.items {
		ours := p.mine(it)
		switch it.place {
		case parked:
			if ours {
				gained = append(gained, it)
			}
		case waiting, queued, suspected, hollow, quarantined:
			if !ours {
				p.park(it)
			}
		case nowhere, numPlaces:
		}
	}
	for _, i := range resource.HashOrder(len(gained), func(i int) uint64 { return gained[i].id.Hash() }) {
		p.unpark(gained[i], now)
	}
	p.poke()
}

// drain is somebody's wait for the end of certain requests.
type drain struct {
	match func(resource.ID) bool
	done  chan struct{}
}

// Drain returns a channel that is closed once no request in flight holds an ID that matches. The caller has already
// made sure that MaySend says no for all of those, so that none begins anew.
func (p *Pipeline) Drain(match func(resource.ID) bool) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := &drain{match: match, done: make(chan struct{})}
	p.drains = append(p.drains, d)
	p.checkDrains()
	return d.done
}

func (p *Pipeline) checkDrains() {
	if len(p.drains) == 0 {
		return
	}
	rest := p.drains[:0]
	for _, d := range p.drains {
		if p.holds(d.match) {
			rest = append(rest, d)
		} else {
			close(d.done)
		}
	}
	p.drains = rest
}

func (p *Pipeline) holds(match func(resource.ID) bool) bool {
	for id, it := range p.items {
		if it.inFlight && match(id) {
			return true
		}
	}
	return false
}
