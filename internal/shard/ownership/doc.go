// Package ownership decides for which objects and partitions this replica may send, without a leader and
// without trusting any clock but its own: claims in Leases.
//
// Each member publishes in its own Lease a [Claim]: the view under which it works, which is the sorted names of all
// members it knows, and the parts that it takes or yields. It claims what the ring of the view gives to it,
// less what it yields, and everything of what it takes. A member may send for an object in a partition while
//
//  1. the claim published in its Lease has it, and so has the one it is about to publish,
//  2. the watch has delivered that publication back to it,
//  3. nobody else's Lease, as last seen, claims it, unless it is marked dead or has given up its claim,
//  4. its last successful renewal began less than the renew deadline ago,
//  5. and it knows, when it begins with it, that nobody can be sending whose Lease it never saw: it is settled.
//
// A new claim is published only after requests in flight for what it gives away have ended. Such sets over objects and
// partitions are [Area]s. A [Part] is taken for a resync, so that the lister of a type is its only sender meanwhile:
//
//	                others yield what they see taken           the others claim again
//	taken ────▶ published ────────────────────────▶ ours alone ──Give──▶ given back, once drained
//	  │              └── another took it at the same moment, and wins: withdrawn, and taken again later
//	  └── some of it is another's already: waits A silent member is marked dead
//
// by a conditional write after its Lease has been seen unchanged for the whole lease duration. The argument why no two
// members ever send for one partition, and what it assumes, is in docs/design/0001-claims-in-leases.md.
//
//	           list complete                 drained, and the name is free
//	(nothing) ───────────────▶ outside ────────────────────────────────────▶ joined ──────────────▶ left
//	                              ▲                                            │      Leave, drained,
//	                              │   marked dead, Lease deleted or            │         released
//	                              └──────────── taken over ────────────────────┘
//
// A [Machine] is driven from outside: it is told what the watch shows, in the order of versions and without leaving
// anything out, how writes ended, and the time; after each input it is asked what to do: [Machine.BeginWrite],
// [Machine.Retirements], [Machine.Drain], and when to look again, [Machine.Wake]. It does no I/O, starts no
// goroutine and reads no clock; every now is a monotonic time since any fixed moment, and may not go back. A
// Machine is not safe for concurrent use; a [Set] is.
//
// The order of things matters to its driver: ask for Drain and publish the result of Owned to those who send
// before requests in flight are looked at, and mark a request as in flight before asking MaySend for it.
package ownership
