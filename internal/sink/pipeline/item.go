package pipeline

import (
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// place is the place of an item; see the diagram in the package documentation. An item in flight keeps the place
// in which a further change put it: nowhere, or waiting.
type place uint8

const (
	nowhere     place = iota // acknowledged, or in flight; kept only while it is needed otherwise
	waiting                  // in the debounce window
	queued                   // in one of the queues
	suspected                // failed before: in its queue, or waiting for its time
	parked                   // another member's to send
	evicted                  // without its body
	quarantined              // refused; see quarantine
	numPlaces
)

func (p place) String() string {
	return [numPlaces]string{"nowhere", "waiting", "queued", "suspected", "parked", "evicted", "quarantined"}[p]
}

// item is one object that the receiver may not have in its current state. It is guarded by Pipeline.mu.
type item struct {
	id    resource.ID
	typ   *resource.Type // shared by all items of the type
	body  resource.Body
	State // the newest

	// base is the mark of the state that the receiver is known to hold. It is 0 when that is not known, as while a
	// request is in flight. An object that returns to its base needs no sending.
	base uint64
	// first is the oldest change that is not acknowledged, later the first change since the request in flight was
	// built.
	first, later onset

	place   place
	evicted bool // dropped its body: it cannot be sent before it is filled
	several bool // has, or may have, been in more than one state since the last acknowledgement
	sending
	origin

	aged int32 // the second in which it counts among the dirty items; see ages.go

	links
	extra *extra // fields that few items have; nil for most
}

// onset is when a state was seen, and the lowest version at which it may have begun. A moment takes a third of
// the memory of a time.Time, and a large start has three moments for each of very many items.
type onset struct {
	at      moment
	version uint64
}

// sending describes an item since the last request that carries it was built.
type sending struct {
	inFlight bool // the request is under way
	changed  bool // the item has another state than the request
	dueEarly bool // its debounce ended while it was in flight
}

// origin says why the pipeline has an item.
type origin struct {
	bulk    bool // came with a first list or a resync, not as a change
	initial bool // came with a first list and is to arrive; see Progress
	found   bool // its deletion was not watched but found, or another member named it
	offered bool // dirty only because a resync sends it again: the receiver has acknowledged this state
	again   bool // dirty only because a relist found it again while another member may have sent it
}

// links holds an item's position in its queue.
type links struct {
	prev, next *item
	queue      *queue // nil unless it is queued, suspected or parked
	readyAt    moment // when it entered a queue that sends
}

// extra is the part of an item that few items have.
type extra struct {
	tickets []*Ticket
	doubt
	trial
	refusal
	appointment
}

// doubt describes the effect that a request of unknown outcome may still have on an item; see settle.go.
type doubt struct {
	doubted   uint64    // the mark of the one state that the receiver may still apply, 0 for several or an unknown one
	settleAt  time.Time // when the last word is repeated next
	toldUntil time.Time // until when the doubt is reported after the item was given away; see [Pipeline.tells]
	repeats   int       // how many times the last word is still to be repeated
	unsure    bool      // a request of unknown outcome carried this ID and no acknowledgement has come since
	suspicion bool      // no request of ours has carried it; another member may have had one under way
	unsettled bool      // counts in tally.unsettled
	behind    uint64    // a version that its former owner may have sent, while we know only an older state, or 0
}

func (d *doubt) inDoubt() bool { return d.unsure || d.repeats > 0 }

// trial says how a failed item is tried again; see retry.go.
type trial struct {
	limit int    // the largest batch in which it may travel since it failed in a larger one, 0 for any
	mark  uint64 // how many requests of its kind had passed when it failed first
	tries int    // failures of its own; a few of them quarantine it
	whole bool   // it is tried once more in the batch in which it failed first
}

// refusal says why an item is quarantined, and since when.
type refusal struct {
	why   string
	since time.Time
}

// appointment is the time at which an item's timer is due, and the item's position among the timers, 0 for none.
type appointment struct {
	dueAt time.Time
	timer int
}

// items holds all items. A map never shrinks: one that has been large is replaced when it is empty, as after a
// start.
type items struct {
	byID  map[resource.ID]*item
	most  int                       // that this map has held
	stubs map[*resource.Type]*stubs // the items in their short form, see stub.go; nil makes none
	types map[resource.Type]*resource.Type
	lost  bool // some may be lost
	late  bool // some may be behind their former owner
}

// manyItems is the size from which on a map is worth replacing: it takes half a megabyte.
const manyItems = 10_000

func (s *items) add(it *item) {
	s.byID[it.id] = it
	s.most = max(s.most, len(s.byID))
}

func (s *items) remove(it *item) {
	delete(s.byID, it.id)
	if len(s.byID) == 0 && s.most > manyItems {
		s.byID, s.most = make(map[resource.ID]*item), 0
	}
}

// typ returns the one pointer to a type that its items share.
func (s *items) typ(t resource.Type) *resource.Type {
	typ, ok := s.types[t]
	if !ok {
		typ = &t
		s.types[t] = typ
	}
	return typ
}

func (it *item) withExtra() *extra {
	if it.extra == nil {
		it.extra = &extra{}
	}
	return it.extra
}

// dirty tells whether the receiver may not have the item's current state.
func (it *item) dirty() bool { return it.place != nowhere || it.inFlight }

// namespaceAndName cuts both out of the ID, which costs no memory.
func (it *item) namespaceAndName() (namespace, name string) {
	s := string(it.id)
	namespace = s[:strings.IndexByte(s, '/')]
	if namespace == resource.ClusterNamespace {
		namespace = ""
	}
	return namespace, s[strings.LastIndexByte(s, '/')+1:]
}

func (it *item) wire() wire.Item {
	namespace, name := it.namespaceAndName()
	return wire.Item{ID: it.id, Type: *it.typ, Namespace: namespace, Name: name, Body: it.body}
}
