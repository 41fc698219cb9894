package debounce

import "time"

// Window holds keys between their first touch and the moment at which they are due.
type Window[K comparable] struct {
	quiet, maxWait time.Duration
	entries        map[K]*entry[K]
	byLast         list[K] // ordered by the last touch: the front is the first to have been quiet
	byFirst        list[K] // ordered by the first touch: the front is the first to reach the max wait
}

// New returns an empty window. A quiet time of zero makes every key due at once. A max wait below the quiet time
// is raised to it, which switches the cut-off off for keys touched once.
func New[K comparable](quiet, maxWait time.Duration) *Window[K] {
	w := &Window[K]{
		quiet:   max(quiet, 0),
		maxWait: max(maxWait, quiet, 0),
		entries: make(map[K]*entry[K]),
	}
	w.byLast.links = func(e *entry[K]) *links[K] { return &e.last }
	w.byFirst.links = func(e *entry[K]) *links[K] { return &e.first }
	return w
}

// Touch starts the wait of a key, or starts it anew. Calls must come with a now that never goes back.
func (w *Window[K]) Touch(k K, now time.Time) {
	e, ok := w.entries[k]
	if !ok {
		e = &entry[K]{key: k, firstAt: now}
		w.entries[k] = e
		w.byFirst.pushBack(e)
	} else {
		w.byLast.remove(e)
	}
	e.lastAt = now
	w.byLast.pushBack(e)
}

// Remove forgets a key. It tells whether the key was there.
func (w *Window[K]) Remove(k K) bool {
	e, ok := w.entries[k]
	if ok {
		w.drop(e)
	}
	return ok
}

// Len returns the number of keys that wait.
func (w *Window[K]) Len() int { return len(w.entries) }

// Pop removes and returns one key that is due, in the order in which the keys became due; ok is false when no key
// is due.
func (w *Window[K]) Pop(now time.Time) (k K, ok bool) {
	e, at := w.first()
	if e == nil || at.After(now) {
		return k, false
	}
	w.drop(e)
	return e.key, true
}

// PopAny removes and returns the key that would be due next, due or not; ok is false when the window is empty.
func (w *Window[K]) PopAny() (k K, ok bool) {
	e, _ := w.first()
	if e == nil {
		return k, false
	}
	w.drop(e)
	return e.key, true
}

// Next returns when the next key will be due; ok is false when the window is empty.
func (w *Window[K]) Next() (at time.Time, ok bool) {
	e, at := w.first()
	return at, e != nil
}

// first returns the entry that is due first, and the time at which it is due.
func (w *Window[K]) first() (*entry[K], time.Time) {
	quiet, waited := w.byLast.front, w.byFirst.front
	if quiet == nil {
		return nil, time.Time{}
	}
	quietAt, waitedAt := quiet.lastAt.Add(w.quiet), waited.firstAt.Add(w.maxWait)
	if waitedAt.Before(quietAt) {
		return waited, waitedAt
	}
	return quiet, quietAt
}

func (w *Window[K]) drop(e *entry[K]) {
	w.byLast.remove(e)
	w.byFirst.remove(e)
	delete(w.entries, e.key)
}

type entry[K comparable] struct {
	key             K
	firstAt, lastAt time.Time
	first, last     links[K]
}

type links[K comparable] struct{ prev, next *entry[K] }

// list is a doubly linked list through one of an entry's two links.
type list[K comparable] struct {
	front, back *entry[K]
	links       func(*entry[K]) *links[K]
}

func (l *list[K]) pushBack(e *entry[K]) {
	le := l.links(e)
	le.prev, le.next = l.back, nil
	if l.back != nil {
		l.links(l.back).next = e
	} else {
		l.front = e
	}
	l.back = e
}

func (l *list[K]) remove(e *entry[K]) {
	le := l.links(e)
	if le.prev != nil {
		l.links(le.prev).next = le.next
	} else {
		l.front = le.next
	}
	if le.next != nil {
		l.links(le.next).prev = le.prev
	} else {
		l.back = le.prev
	}
	le.prev, le.next = nil, nil
}
