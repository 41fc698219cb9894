package pipeline

import (
	"container/heap"
	"iter"
	"time"
)

// timers are items with a time, the earliest first. An item has one time at most; the item's place tells its
// purpose.
type timers struct{ h timerHeap }

// add sets an item's time, in place of an earlier one.
func (t *timers) add(it *item, at time.Time) {
	r := it.withExtra()
	r.dueAt = at
	if r.timer > 0 {
		heap.Fix(&t.h, r.timer-1)
		return
	}
	heap.Push(&t.h, it)
}

// remove takes an item's time away, if it has one.
func (t *timers) remove(it *item) {
	if it.extra != nil && it.extra.timer > 0 {
		heap.Remove(&t.h, it.extra.timer-1)
	}
}

func (t *timers) next() (time.Time, bool) {
	if len(t.h) == 0 {
		return time.Time{}, false
	}
	return t.h[0].extra.dueAt, true
}

// due yields and removes the items whose time has come. More may be added meanwhile.
func (t *timers) due(now time.Time) iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for len(t.h) > 0 && !t.h[0].extra.dueAt.After(now) {
			if !yield(heap.Pop(&t.h).(*item)) {
				return
			}
		}
	}
}

type timerHeap []*item

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].extra.dueAt.Before(h[j].extra.dueAt) }
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].extra.timer, h[j].extra.timer = i+1, j+1
}

func (h *timerHeap) Push(x any) {
	it := x.(*item)
	*h = append(*h, it)
	it.extra.timer = len(*h)
}

func (h *timerHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.extra.timer = 0
	return it
}
