package pipeline

import (
	"container/heap"
	"iter"
	"time"
)

// A request whose outcome is unknown may be applied by the receiver after a newer one has been: both known receivers
// finish what they have read, whoever has left meanwhile. So an acknowledgement that follows a doubt does not end an
// item. Its last word is said again once the settle time has passed since then, and again a few times more, because a
// receiver may have held the old request for minutes. An acknowledgement of a newer state after that time is as good.

// settle advances the repetition of an item that has just been acknowledged. It returns false when none is left.
func (p *Pipeline) settle(it *item, now time.Time) bool {
	r := it.rare
	switch {
	case r.unsure:
		r.unsure = false
		r.repeats = p.opts.Repeats
		r.settleAt = now.Add(p.opts.Settle)
	case r.repeats > 0 && !now.Before(r.settleAt):
		r.repeats--
		r.settleAt = now.Add(p.opts.Settle)
	}
	if r.repeats == 0 {
		return false
	}
	if !r.settling {
		r.settling = true
		p.settles.add(it, r.settleAt)
	}
	return true
}

// repeat says an item's last word again, unless a newer one is on its way.
func (p *Pipeline) repeat(it *item, now time.Time) {
	if p.items[it.id] != it || it.rare == nil {
		return
	}
	r := it.rare
	r.settling = false
	switch {
	case r.repeats == 0 || it.dirty():
		// Its next acknowledgement counts, and starts the timer again.
	case now.Before(r.settleAt):
		r.settling = true
		p.settles.add(it, r.settleAt)
	case !p.opts.Owner.MaySend(it.id):
		r.repeats = 0 // The new owner repeats what it takes over in doubt.
		if !r.touched {
			p.forget(it)
		}
	case it.bare:
		it.firstAt, it.firstVersion = now, it.version
		p.move(it, hollow)
	default:
		it.firstAt, it.firstVersion = now, it.version
		p.totals.Repeats++
		p.metrics.repeats.Inc()
		if it.deleted {
			p.enqueue(&p.deletes, it, now)
		} else {
			p.enqueue(&p.live, it, now)
		}
	}
}

// timers are items with a time, the earliest first.
type timers struct{ h timerHeap }

type timer struct {
	at time.Time
	it *item
}

func (t *timers) add(it *item, at time.Time) { heap.Push(&t.h, timer{at: at, it: it}) }

func (t *timers) next() (time.Time, bool) {
	if len(t.h) == 0 {
		return time.Time{}, false
	}
	return t.h[0].at, true
}

// due yields and removes the items whose time has come. More may be added meanwhile.
func (t *timers) due(now time.Time) iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for len(t.h) > 0 && !t.h[0].at.After(now) {
			it := heap.Pop(&t.h).(timer).it
			if !yield(it) {
				return
			}
		}
	}
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = timer{}
	*h = old[:len(old)-1]
	return t
}
