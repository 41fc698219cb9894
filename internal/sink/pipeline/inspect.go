package pipeline

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// ItemStatus is what a pipeline holds of one object, for a person who looks inside.
type ItemStatus struct {
	// Place is where it is; see the diagram in the package documentation. An item that is in flight and nowhere else is
	// nowhere.
	Place string
	// State is the newest state, Since when the oldest change was seen that is not acknowledged.
	State State
	Since time.Time
	// InFlight tells that a request carries it, InDoubt that one of unknown outcome may still change it.
	InFlight, InDoubt bool
	// Repeats is how often its last word is still to be sent again.
	Repeats int
	// DueAt is when something is done about it next, zero when that depends on no clock of its own.
	DueAt time.Time
	// BatchLimit is the largest batch that it may travel in since it failed in a larger one, 0 for any.
	BatchLimit int
	// Reason is why it is quarantined, empty when it is not.
	Reason string
	// Failure is what became of the requests that carried it since the last that was delivered.
	Failure Failure
}

// Item returns what is held of an object; ok is false when the receiver has its current state and nothing is
// to be done.
func (p *Pipeline) Item(id resource.ID) (s ItemStatus, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	it, ok := p.items.byID[id]
	if !ok {
		if it = p.items.ofStub(id); it == nil {
			return ItemStatus{}, false
		}
	}
	s = ItemStatus{Place: it.place.String(), State: it.State, Since: p.ages.time(it.first.at), InFlight: it.inFlight, BatchLimit: it.limit()}
	s.Failure = p.record.failures.of[id].Failure
	if x := it.extra; x != nil {
		s.InDoubt, s.Repeats, s.DueAt, s.Reason = x.inDoubt(), x.repeats, x.dueAt, x.why
	}
	return s, true
}

// Failure is what became of an object's requests.
type Failure struct {
	// Tries is how many requests have carried it in vain, fenced ones among them; 0 for none.
	Tries int
	// Outcome and Reason are of the last of them, At is when it ended.
	Outcome wire.Kind
	Reason  string
	At      time.Time
}

// maxFailures is of how many objects failures are remembered, the latest ones: some requests full.
const maxFailures = 1000

// failures remembers what became of requests in vain. Nothing is decided by it. It is guarded by Pipeline.mu.
type failures struct {
	of   map[resource.ID]failed
	ring []resource.ID // in the order in which they came
	next int
}

type failed struct {
	Failure

	slot int // in the ring
}

// note takes the outcome of a flight.
func (f *failures) note(items []*item, o wire.Outcome, now time.Time) {
	switch o.Kind {
	case wire.Delivered:
		f.clear(items)
	case wire.Partial:
		f.clear(items)
		for _, e := range o.Failed {
			f.add(items[e.Index].id, Failure{Outcome: o.Kind, Reason: e.Reason, At: now})
		}
	default:
		reasons := make(map[int]string, len(o.Bad))
		for _, e := range o.Bad {
			reasons[e.Index] = e.Reason
		}
		for i, it := range items {
			reason, ok := reasons[i]
			if !ok {
				reason = o.Reason
			}
			f.add(it.id, Failure{Outcome: o.Kind, Reason: reason, At: now})
		}
	}
}

func (f *failures) clear(items []*item) {
	if len(f.of) == 0 {
		return
	}
	for _, it := range items {
		delete(f.of, it.id)
	}
}

func (f *failures) add(id resource.ID, failure Failure) {
	if f.of == nil {
		f.of = make(map[resource.ID]failed)
	}
	old, ok := f.of[id]
	failure.Tries = old.Tries + 1
	if ok {
		f.of[id] = failed{failure, old.slot}
		return
	}
	if len(f.ring) < maxFailures {
		f.ring = append(f.ring, "")
	}
	slot := f.next
	if f.of[f.ring[slot]].slot == slot {
		delete(f.of, f.ring[slot])
	}
	f.ring[slot], f.next = id, (slot+1)%maxFailures
	f.of[id] = failed{failure, slot}
}
