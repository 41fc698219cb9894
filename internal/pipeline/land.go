package pipeline

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// land takes the outcome of a flight and decides about each of its items.
func (p *Pipeline) land(f *flight, o wire.Outcome) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.inFlight--
	if f.group != nil {
		p.suspect.lanes[kindOf(f.deletes)].running--
	}
	for _, it := range f.items {
		p.setInFlight(it, false)
		switch {
		case o.Kind != wire.Unknown:
		case it.rare != nil && it.rare.sentFor != nil:
			it.rare.sentFor.doubt.Store(true) // Its owner repeats the last word.
		default:
			it.more().unsure = true
		}
	}
	if o.Kind == wire.Delivered {
		p.totals.LastDelivered = now
	} else if !o.Own && o.Kind != wire.Fenced {
		p.totals.Failed++
		p.totals.LastError = o.Reason
	}
	switch o.Kind {
	case wire.Delivered:
		p.report(now, o)
		p.acknowledge(f.items, f, now)
	case wire.Partial:
		p.report(now, o)
		p.landPartial(f, o, now)
	case wire.Refused:
		p.report(now, o)
		p.landRefused(f, o, now)
	case wire.Unprocessable, wire.TooLarge:
		p.report(now, o)
		p.bisect(f, o, now)
	case wire.ServerError, wire.Unknown:
		p.landSuspicious(f, o, now)
	case wire.Retry:
		if o.Status >= 500 {
			p.landSuspicious(f, o, now)
			break
		}
		p.report(now, o)
		p.again(f, now)
	case wire.Unauthorized, wire.WrongEndpoint, wire.Fenced:
		p.report(now, o)
		p.again(f, now)
	}
	if p.opts.Observe != nil {
		p.opts.Observe(p.gate.State())
	}
	p.checkDrains()
	p.notify()
}

// report tells the gate, and the log when the gate turns.
func (p *Pipeline) report(now time.Time, o wire.Outcome) {
	p.edge(p.gate.Report(now, o))
}

func (p *Pipeline) edge(t delivery.Transition) {
	switch t.Edge {
	case delivery.Opened:
		p.log.Info("Receiver in trouble, backing off", "target", p.opts.Target, "kind", t.Kind.String(), "reason", t.Reason)
	case delivery.Changed:
		p.log.Info("Receiver in trouble of another kind", "target", p.opts.Target, "kind", t.Kind.String(), "reason", t.Reason)
	case delivery.Closed:
		p.log.Info("Receiver is well again", "target", p.opts.Target, "after", t.After.String(), "dirty", p.dirty())
	case delivery.NoEdge:
	}
}

// acknowledge forgets the items whose state is still the one that was sent. The others keep their newer state.
func (p *Pipeline) acknowledge(items []*item, f *flight, now time.Time) {
	if f.deletes {
		p.totals.Deletes += uint64(len(items))
	} else {
		p.totals.Upserts += uint64(len(items))
	}
	p.passed[kindOf(f.deletes)]++
	p.suspect.passed(f.deletes)
	for _, it := range items {
		it.alone = false
		p.metrics.latency.Observe(now.Sub(it.firstAt).Seconds())
		if it.seq == it.sentSeq {
			p.complete(it, now)
			continue
		}
		it.firstAt, it.firstVersion = it.laterAt, it.laterVersion
		it.baseKnown = !f.deletes && it.place != parked
		if p.unneeded(it) {
			p.complete(it, now)
			continue
		}
		p.resume(it, now)
	}
}

// resume puts an item that changed while it was in flight where its newer state belongs. It tells whether there was
// one.
func (p *Pipeline) resume(it *item, now time.Time) bool {
	switch {
	case it.seq == it.sentSeq:
		return false
	case it.place != nowhere: // waiting or parked: it is where it belongs
	case it.deleted:
		p.enqueue(&p.deletes, it, now)
	case it.dueEarly:
		p.ready(it, now)
	default:
		p.route(it, now, false)
	}
	return true
}

// again puts the items of a flight back to the front, for the next request to be built from what they are then.
func (p *Pipeline) again(f *flight, now time.Time) {
	if f.group != nil {
		p.regroup(f, now)
		return
	}
	for _, it := range slices.Backward(f.items) {
		p.putBack(it, now)
	}
}

// putBack puts one item that was not delivered back to the front of its queue.
func (p *Pipeline) putBack(it *item, now time.Time) {
	switch {
	case p.resume(it, now):
	case !p.mine(it):
		p.park(it)
	case it.alone:
		p.suspectAlone(it, now)
	case it.deleted:
		p.deletes.pushFront(it)
		p.setPlace(it, queued)
	default:
		p.live.pushFront(it)
		p.setPlace(it, queued)
	}
}

// landPartial acknowledges what is done and tries again what failed.
func (p *Pipeline) landPartial(f *flight, o wire.Outcome, now time.Time) {
	failed := make(map[int]string, len(o.Failed))
	for _, e := range o.Failed {
		failed[e.Index] = e.Reason
	}
	var done []*item
	for i, it := range f.items {
		if _, ok := failed[i]; !ok {
			done = append(done, it)
		}
	}
	if len(done) > 0 {
		p.acknowledge(done, f, now)
	}
	var keep []*item
	kind := kindOf(f.deletes)
	blame := len(done) > 0 || f.group != nil && p.passed[kind] > f.group.mark // others passed meanwhile
	if !blame {
		p.suspect.backOff(f.deletes, now)
	}
	for i, it := range f.items {
		reason, ok := failed[i]
		if !ok || p.resume(it, now) {
			continue
		}
		if blame {
			it.more().tries++
			if it.rare.tries >= maxTries {
				p.quarantine(it, reason, true, now)
				continue
			}
		}
		keep = append(keep, it)
	}
	p.suspect.add(&group{deletes: f.deletes, mark: p.passed[kind], notBefore: now.Add(retryPartial)}, keep, p)
}

// landRefused sets the items aside that were named, and sends the others again.
func (p *Pipeline) landRefused(f *flight, o wire.Outcome, now time.Time) {
	bad := make(map[int]string, len(o.Bad))
	for _, e := range o.Bad {
		bad[e.Index] = e.Reason
	}
	for i, it := range slices.Backward(f.items) {
		if reason, ok := bad[i]; ok {
			if !p.resume(it, now) {
				p.quarantine(it, reason, false, now)
			}
			continue
		}
		p.putBack(it, now)
	}
}

func kindOf(deletes bool) int {
	if deletes {
		return 1
	}
	return 0
}

// complete ends an item whose current state is acknowledged. It stays only while its last word is to be repeated.
func (p *Pipeline) complete(it *item, now time.Time) {
	if it.deleted || it.version == 0 {
		p.opts.Delivered(it.id, it.state())
	}
	if it.rare != nil && it.rare.why != "" {
		p.metrics.released(it.id)
		p.log.Info("Object that was quarantined is delivered", "target", p.opts.Target, "id", string(it.id))
		it.rare.why = ""
	}
	if it.rare == nil || !p.settle(it, now) && !it.rare.touched {
		p.forget(it)
		return
	}
	p.arrived(it)
	p.spare(it)
	it.rare.tries = 0
}
