package pipeline

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"

// queues are where items wait their turn: our items by class, another member's by type. It is guarded by
// Pipeline.mu.
type queues struct {
	classes   [numClasses]queue
	turns     turns
	flushBulk bool // no more bulk is coming: do not wait for a full batch
	// parked has two queues of each type, the second for states that are reported as delivered by name.
	parked map[*resource.Type]*[2]queue
}

func (q *queues) of(c class) *queue { return &q.classes[c] }

// parkedOf returns the queue in which an item is parked.
func (q *queues) parkedOf(it *item) *queue {
	parked := q.parked[it.typ]
	if parked == nil {
		parked = new([2]queue)
		q.parked[it.typ] = parked
	}
	return &parked[one(it.named())]
}

// queue is a first-in first-out list through the items, so that an item can be taken out of the middle at once.
type queue struct {
	front, back *item
	len         int
}

func (q *queue) pushBack(it *item)  { q.insert(it, q.back, nil) }
func (q *queue) pushFront(it *item) { q.insert(it, nil, q.front) }

func (q *queue) insert(it, prev, next *item) {
	it.queue, it.prev, it.next = q, prev, next
	if prev != nil {
		prev.next = it
	} else {
		q.front = it
	}
	if next != nil {
		next.prev = it
	} else {
		q.back = it
	}
	q.len++
}

func (q *queue) remove(it *item) {
	if it.prev != nil {
		it.prev.next = it.next
	} else {
		q.front = it.next
	}
	if it.next != nil {
		it.next.prev = it.prev
	} else {
		q.back = it.prev
	}
	it.prev, it.next, it.queue = nil, nil, nil
	q.len--
}
