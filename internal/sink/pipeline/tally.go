package pipeline

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"

// tally counts the items, so that no caller has to look at each of them. It is guarded by Pipeline.mu.
type tally struct {
	places       [numPlaces]int
	inFlightOnly int                    // items that are in flight and nowhere else
	unsettled    int                    // items whose last word will be repeated
	evicted      map[*resource.Type]int // items without their bodies
	initial      map[*resource.Type]int // items that their type's first list has brought and that have not arrived
	first        Progress
	bodyBytes    int64
}

// Progress is the progress of the first sync.
type Progress struct {
	// Total is the number of objects that the first lists of the types have brought. Done is the number of them that
	// are delivered, set aside, or gone.
	Total, Done int
}

func newTally() tally {
	return tally{evicted: make(map[*resource.Type]int), initial: make(map[*resource.Type]int)}
}

// dirty counts the items that the receiver may not have in their current state and that are ours to send.
func (t *tally) dirty() int {
	return t.places[waiting] + t.places[queued] + t.places[suspected] + t.places[evicted] + t.inFlightOnly
}

// setPlace notes that an item goes to another place.
func (t *tally) setPlace(it *item, to place) {
	t.places[it.place]--
	t.places[to]++
	if n := one(to == evicted) - one(it.place == evicted); n != 0 {
		count(t.evicted, it.typ, n)
	}
	if it.inFlight {
		t.inFlightOnly += one(to == nowhere) - one(it.place == nowhere)
	}
	it.place = to
}

// setInFlight notes that a request which holds an item has begun or ended.
func (t *tally) setInFlight(it *item, inFlight bool) {
	if it.place == nowhere {
		t.inFlightOnly += one(inFlight) - one(it.inFlight)
	}
	it.inFlight = inFlight
}

func (t *tally) setBody(it *item, b resource.Body) {
	t.bodyBytes += int64(len(b) - len(it.body))
	it.body = b
}

// setUnsettled brings the count of last words to be repeated in step with an item.
func (t *tally) setUnsettled(it *item) {
	if r := it.extra; r != nil && r.unsettled != it.overwritable() {
		r.unsettled = !r.unsettled
		t.unsettled += 2*one(r.unsettled) - 1
	}
}

// came notes that a first list has brought an item. arrived notes that it is delivered, set aside or gone.
func (t *tally) came(it *item) {
	if !it.initial {
		it.initial = true
		count(t.initial, it.typ, 1)
		t.first.Total++
	}
}

func (t *tally) arrived(it *item) {
	if it.initial {
		it.initial = false
		count(t.initial, it.typ, -1)
		t.first.Done++
	}
}

// count adds n to the count of a type.
func count(of map[*resource.Type]int, t *resource.Type, n int) {
	if of[t] += n; of[t] == 0 {
		delete(of, t)
	}
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}
