// Package ownership decides for which objects and partitions this replica may send, without a leader and
// without trusting any clock but its own: claims in Leases.
//
// Each member publishes in its own Lease a [Claim]: its view, and the parts that it takes or yields. The view is
// the sorted names of all members it knows. The member claims its share in the ring of the view, without the
// parts that it yields, and with the parts that it takes. A member may send for an object in a partition while
//
//  1. the claim published in its Lease covers it, and so does the claim that it is about to publish,
//  2. the watch has delivered that publication back to it,
//  3. no other Lease, as last seen, claims it, unless that Lease is marked dead or has given up its claim,
//  4. its last successful renewal began less than the renew deadline ago,
//  5. and it knows, when it begins a request, that no member whose Lease it never saw can be sending: it is
//     settled.
//
// A member publishes a new claim only after its requests in flight for the part that it gives away have ended.
// Such sets over objects and partitions are [Area]s. A member takes a [Part] for a resync, so that the lister of
// a type is its only sender meanwhile:
//
//	                others yield what they see taken           the others claim again
//	taken ────▶ published ────────────────────────▶ ours alone ──Give──▶ given back, once drained
//	  │              └── another took it at the same moment, and wins: withdrawn, and taken again later
//	  └── some of it is another's already: waits
//
// A silent member is marked dead by a conditional write, after its Lease has been seen unchanged for the whole
// lease duration. docs/design/0001-claims-in-leases.md proves that no two members ever send for one partition,
// and lists what the proof assumes.
//
//	           list complete                 drained, and the name is free
//	(nothing) ───────────────▶ outside ────────────────────────────────────▶ joined ──────────────▶ left
//	                              ▲                                            │      Leave, drained,
//	                              │   marked dead, Lease deleted or            │         released
//	                              └──────────── taken over ────────────────────┘
//
// A [Machine] is driven from outside. Its driver tells it three things: what the watch shows, in the order of
// versions and without a gap; the outcomes of writes; and the time. After each input the driver asks what to do:
// [Machine.BeginWrite], [Machine.Retirements], [Machine.Drain], and when to look again, [Machine.Wake]. A Machine
// does no I/O, starts no goroutine and reads no clock. Every now is a monotonic time since any fixed moment, and
// may not go back. A Machine is not safe for concurrent use; a [Set] is.
//
// The driver must keep this order. It asks for Drain and publishes the result of Owned to the senders before it
// looks at requests in flight. A sender marks a request as in flight before it asks MaySend for it.
package ownership
