package pipeline

import (
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// ItemStatus describes a pipeline's item of one object, for a person who looks inside.
type ItemStatus struct {
	// Place is the place of the item; see the diagram in the package documentation. An item that is in flight and in
	// no other place is nowhere.
	Place string
	// State is the newest state, Since the time of the oldest change that is not acknowledged.
	State State
	Since time.Time
	// InFlight tells that a request carries the item, InDoubt that a request of unknown outcome may still change it.
	InFlight, InDoubt bool
	// Repeats is the number of times that the last word is still to be sent again.
	Repeats int
	// DueAt is when the pipeline acts on the item next, zero when that depends on no clock of the item.
	DueAt time.Time
	// BatchLimit is the largest batch in which the item may travel since it failed in a larger one, 0 for any.
	BatchLimit int
	// Reason says why the item is quarantined, empty when it is not.
	Reason string
	// Failure describes the failed requests that carried the item since the last delivered one.
	Failure Failure
}

// Item returns the pipeline's item of an object. ok is false when the receiver has the object's current state and
// no work is left.
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

// Failure describes the failed requests of an object.
type Failure struct {
	// Tries is the number of failed requests that have carried it, fenced ones included; 0 for none.
	Tries int
	// Outcome and Reason are those of the last failed request, At is when it ended.
	Outcome wire.Kind
	Reason  string
	At      time.Time
}

// maxFailures is the number of objects whose failures are remembered, the latest ones: some requests full.
const maxFailures = 1000

// failures remembers the outcomes of failed requests. It is for people alone. It is guarded by Pipeline.mu.
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
