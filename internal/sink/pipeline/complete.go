package pipeline

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// complete takes the outcome of a flight and decides about each of its items.
func (p *Pipeline) complete(f *flight, o wire.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	delete(p.flights.all, f)
	if o.Kind != wire.Unknown && !o.Own {
		p.lastWords.slowest.note(o.Took, now)
	}
	for i, it := range f.items {
		p.setInFlight(it, false)
		if o.Kind == wire.Unknown {
			p.doubt(it, f.carried[i].mark)
			it.extra.suspicion, it.extra.toldUntil = false, now.Add(p.doubtFor())
		}
	}
	p.record.ended(f, o, now)
	p.decide(f, o, now)
	p.audit(f, o, now)
	p.observe()
	p.flights.ended()
	p.backlog.give()
}

func (p *Pipeline) observe() {
	if p.opts.Observe != nil {
		p.opts.Observe(p.breaker.State())
	}
}

// decide determines the fate of the items of a flight.
func (p *Pipeline) decide(f *flight, o wire.Outcome, now time.Time) {
	switch o.Kind {
	case wire.Delivered:
		p.report(f, o, now)
		p.lanes[f.lane()].size.passed(len(f.items))
		if f.whole {
			p.lanes[f.lane()].size.chance.won()
		}
		p.acknowledge(f, nil, now)
	case wire.Partial:
		p.completePartial(f, o, now)
	case wire.Refused:
		p.report(f, o, now)
		p.completeRefused(f, o, now)
	case wire.Unprocessable, wire.TooLarge, wire.Miscounted:
		p.report(f, o, now)
		p.bisect(f, o, now)
	case wire.ServerError, wire.Unknown:
		p.completeFailed(f, o, now)
	case wire.WrongEndpoint:
		if o.Status/100 == 2 && len(f.items) == 1 && p.blamed(f.items[0]) {
			p.completeFailed(f, o, now) // The receiver counts other items, and not this one.
			return
		}
		fallthrough
	case wire.Retry, wire.Unauthorized, wire.Fenced:
		p.report(f, o, now)
		if o.Status < 500 {
			p.unsent(f)
		}
		for _, it := range slices.Backward(f.items) {
			if it.changed && p.unneeded(it) {
				p.forget(it)
				continue
			}
			p.putBack(it, f, now)
		}
	default: // An outcome without a rule is a failure to the breaker, and audit finds the items.
		p.report(f, o, now)
	}
}

// audit checks the result of a flight. Each item of it must be forgotten, or be in a place from which it will be
// sent, or wait among the timers. A change without a place would never be sent, and no member would know. Such a
// change is a fault of ours: audit counts it, names it, and tries it again.
func (p *Pipeline) audit(f *flight, o wire.Outcome, now time.Time) {
	lost := slices.DeleteFunc(slices.Clone(f.items), func(it *item) bool {
		return p.items.byID[it.id] != it || it.dirty() || it.extra != nil && it.extra.timer != 0
	})
	for _, it := range lost {
		p.record.dropped.Inc()
		p.opts.Log.Error(nil, "Change had lost its place and is sent again, please report it",
			"target", p.opts.Target, "id", string(it.id), "version", it.Version, "deleted", it.Deleted, "outcome", o.Kind.String())
	}
	for _, it := range p.unchanged(lost, now) {
		p.retryAt(it, now.Add(retryPartial))
	}
}

// report tells the breaker of the outcome, and writes the log when the breaker turns.
func (p *Pipeline) report(f *flight, o wire.Outcome, now time.Time) {
	switch t := p.breaker.Report(now, f.attempt, o); t.Edge {
	case delivery.Opened:
		p.opts.Log.Info("Receiver in trouble, backing off", "target", p.opts.Target, "kind", t.Kind.String(), "reason", t.Reason)
	case delivery.Changed:
		p.opts.Log.Info("Receiver in trouble of another kind", "target", p.opts.Target, "kind", t.Kind.String(), "reason", t.Reason)
	case delivery.Closed:
		p.opts.Log.Info("Receiver is well again", "target", p.opts.Target, "after", t.After.String(), "dirty", p.tally.dirty())
	case delivery.NoEdge:
	}
}

// acknowledge forgets the items of a flight that still have the state that was sent, except the failed ones. The
// others keep their newer state.
func (p *Pipeline) acknowledge(f *flight, failed map[*item]string, now time.Time) {
	p.record.acknowledged(f, len(f.items)-len(failed))
	p.lanes[f.lane()].passed++
	for i, it := range f.items {
		if _, ok := failed[it]; ok {
			continue
		}
		if it.extra != nil {
			it.extra.limit, it.extra.tries, it.extra.whole = 0, 0, false
		}
		p.record.latency.Observe(now.Sub(p.ages.time(it.first.at)).Seconds())
		if !it.changed {
			p.finish(it, now)
			continue
		}
		it.first = it.later
		p.ages.note(it)
		if !f.deletes && it.place != parked {
			it.base = f.carried[i].mark
		}
		if p.unneeded(it) {
			p.finish(it, now)
			continue
		}
		p.resume(it, now)
	}
}

// resume puts an item that changed while it was in flight where its newer state belongs. It tells whether the
// item had changed.
func (p *Pipeline) resume(it *item, now time.Time) bool {
	switch {
	case !it.changed:
		return false
	case it.place != nowhere: // A waiting or parked item is where it belongs.
	case it.Deleted:
		p.enqueue(classDeletes, it, now)
	case it.dueEarly:
		p.ready(it, now)
	default:
		p.route(it, now, it.bulk)
	}
	return true
}

// unsent notes that the receiver has applied no part of a flight: it holds the state that it held before. So an
// object that returns to that state while the receiver is away needs no sending.
func (p *Pipeline) unsent(f *flight) {
	for i, it := range f.items {
		if it.place != parked {
			it.base = f.carried[i].base
		}
	}
}

// putBack puts one item that was not delivered back to the front of the queue that it came from.
func (p *Pipeline) putBack(it *item, f *flight, now time.Time) {
	c, to := classLive, queued
	switch {
	case p.resume(it, now):
		return
	case !p.mine(it):
		p.park(it)
		return
	case f.retried:
		c, to = retryClass(it), suspected
	case it.Deleted:
		c = classDeletes
	case it.bulk:
		c = classBulk
	}
	p.queues.of(c).pushFront(it)
	p.setPlace(it, to)
}

// finish ends an item whose current state is acknowledged. The item stays only while its last word is to be
// repeated.
func (p *Pipeline) finish(it *item, now time.Time) {
	if it.extra != nil && it.extra.why != "" {
		p.record.released(it.id)
		p.opts.Log.Info("Object that was quarantined is delivered", "target", p.opts.Target, "id", string(it.id))
		it.extra.why = ""
	}
	settles := it.extra != nil && p.settle(it, now)
	if (it.Deleted || it.Lost) && !it.overwritable() || !it.Deleted && it.Version == 0 {
		p.opts.Delivered(it.id, it.State)
	}
	if !settles {
		p.forget(it)
		return
	}
	p.arrived(it)
	p.spare(it)
	it.several = false
}
