package pipeline

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// The receivers answer 500 both when they are ill and when one item of a body is at fault. Three rules tell the
// two apart, and none of them needs fresh traffic:
//
//   - Batches shrink while none passes ([batchSize]), until some pass.
//   - Failed items are tried again apart from fresh traffic: once in the same batch, then in halves, down to single
//     items. Each item remembers the largest batch in which it may travel.
//   - An item that fails alone, five times, while others of its kind pass, is the poison. It is quarantined.
//
// A failure while the breaker is open says nothing about the items: the receiver is down, and no batch is
// narrowed down and no item blamed.
const (
	// maxTries is the number of failures by itself, while others pass, that quarantine an item. At a fault rate of
	// 30 % in all requests an innocent object reaches it once in 400 tries, and the retry of the quarantine brings
	// it back.
	maxTries = 5
	// fewTries are enough where second tries have been seen to fail again.
	fewTries = 3
	// retryAlone is the first pause before an item that failed by itself is tried again. The pause grows by as much
	// each time.
	retryAlone = 500 * time.Millisecond
	// retryPartial is the pause before items that failed in a partial failure are sent again.
	retryPartial = time.Second
)

// limit returns the largest batch in which the item may travel, 0 for any.
func (it *item) limit() int {
	if it.extra == nil {
		return 0
	}
	return it.extra.limit
}

// completeFailed takes a failure that may be the fault of the body, of the receiver, or of chance.
func (p *Pipeline) completeFailed(f *flight, o wire.Outcome, now time.Time) {
	known := o
	if len(f.items) == 1 && p.blamed(f.items[0]) && !f.attempt.Probe() {
		known.Own = true // The failure is the item's own doing and says nothing about the receiver.
	}
	p.report(f, known, now)
	size := &p.lanes[f.lane()].size
	if !o.Own {
		size.failed(len(f.items), o.TimedOut)
		if f.whole {
			size.chance.lost()
		}
	}
	rest := p.unchanged(f.items, now)
	if o.Own || f.attempt.Probe() {
		for _, it := range rest {
			if !o.Own && len(f.items) == 1 { // The item leaves the next probe to another.
				p.narrow(it, 1, false)
				it.extra.tries = max(it.extra.tries, 1)
			}
			p.retryAfter(it, now)
		}
		return
	}
	if len(f.items) > 1 {
		again := !o.TimedOut && !f.retried && size.chance.worth()
		for _, it := range rest {
			p.narrow(it, len(f.items), again)
			p.retry(it, now)
		}
		return
	}
	for _, it := range rest {
		p.failedAlone(it, o, now)
	}
}

// narrow notes that an item failed in a batch of n. With again, the item is tried once more in the same batch.
func (p *Pipeline) narrow(it *item, n int, again bool) {
	r := it.withExtra()
	if r.limit > 0 {
		n = min(r.limit, n)
	} else {
		r.mark = p.lanes[laneOf(it.Deleted)].passed
		if again {
			r.limit, r.whole = n, true
			return
		}
	}
	r.limit = n
	r.limit, r.whole = max(r.limit/2, 1), false
}

// blamed tells whether others of its kind have passed since an item failed first.
func (p *Pipeline) blamed(it *item) bool {
	return it.limit() > 0 && p.lanes[laneOf(it.Deleted)].passed > it.extra.mark
}

// failedAlone takes the failure of a request that held only the item.
func (p *Pipeline) failedAlone(it *item, o wire.Outcome, now time.Time) {
	p.narrow(it, 1, false)
	r := it.extra
	if r.tries == 0 || p.blamed(it) {
		r.tries++
	}
	enough := maxTries
	if p.lanes[laneOf(it.Deleted)].size.chance.score == 0 {
		enough = fewTries
	}
	if r.tries >= enough && p.blamed(it) {
		p.quarantine(it, o.Reason, true, now)
		return
	}
	p.retryAfter(it, now)
}

// retryAfter tries an item again: at once, or after a pause if it has failed by itself.
func (p *Pipeline) retryAfter(it *item, now time.Time) {
	if it.extra == nil || it.extra.tries == 0 {
		p.retry(it, now)
		return
	}
	p.retryAt(it, now.Add(time.Duration(it.extra.tries)*retryAlone))
}

// bisect halves a body that was refused without a name of the bad item: the halves tell which item it is.
func (p *Pipeline) bisect(f *flight, o wire.Outcome, now time.Time) {
	rest := p.unchanged(f.items, now)
	if len(f.items) == 1 {
		for _, it := range rest {
			p.quarantine(it, o.Reason, o.Kind == wire.Miscounted, now)
		}
		return
	}
	for _, it := range rest {
		p.narrow(it, len(f.items), false)
		p.retry(it, now)
	}
}

// unchanged sends those items of a flight that changed meanwhile on their way, and returns the others.
func (p *Pipeline) unchanged(items []*item, now time.Time) []*item {
	var rest []*item
	for _, it := range items {
		switch {
		case p.resume(it, now):
		case !p.mine(it):
			p.park(it)
		default:
			rest = append(rest, it)
		}
	}
	return rest
}

// retry puts an item where failed items are sent from.
func (p *Pipeline) retry(it *item, now time.Time) {
	it.readyAt = p.ages.moment(now)
	p.queues.of(retryClass(it)).pushBack(it)
	p.setPlace(it, suspected)
}

func retryClass(it *item) class {
	switch {
	case it.Deleted:
		return classRetriedDeletes
	case it.extra != nil && it.extra.tries > 0:
		return classAlone
	default:
		return classRetried
	}
}

// retryAt is retry at a later time.
func (p *Pipeline) retryAt(it *item, at time.Time) {
	p.move(it, suspected)
	p.timers.add(it, at)
}

func laneOf(deletes bool) delivery.Lane {
	if deletes {
		return delivery.Deletes
	}
	return delivery.Upserts
}

// completePartial acknowledges the delivered items and tries the failed ones again.
func (p *Pipeline) completePartial(f *flight, o wire.Outcome, now time.Time) {
	failed := make(map[*item]string, len(o.Failed))
	for _, e := range o.Failed {
		failed[f.items[e.Index]] = e.Reason
	}
	if len(failed) == len(f.items) {
		p.completeFailed(f, o, now)
		return
	}
	p.report(f, o, now)
	p.acknowledge(f, failed, now)
	for _, it := range p.unchanged(slices.DeleteFunc(slices.Clone(f.items), func(it *item) bool { _, bad := failed[it]; return !bad }), now) {
		r := it.withExtra()
		if r.tries++; r.tries >= maxTries {
			p.quarantine(it, failed[it], true, now)
			continue
		}
		p.retryAt(it, now.Add(retryPartial))
	}
}

// completeRefused sets the named items aside, and sends the others again.
func (p *Pipeline) completeRefused(f *flight, o wire.Outcome, now time.Time) {
	bad := make(map[int]string, len(o.Bad))
	for _, e := range o.Bad {
		bad[e.Index] = e.Reason
	}
	for i, it := range slices.Backward(f.items) {
		reason, refused := bad[i]
		switch {
		case !refused:
			p.putBack(it, f, now)
		case !p.resume(it, now):
			p.quarantine(it, reason, false, now)
		}
	}
}
