// Package membership keeps this replica a member of its ring: it holds the replica's Lease, watches everybody's, and
// says at any moment for which IDs this replica may send.
//
// What is decided is decided by the [ownership.Machine]; this package gives it a clock, one watch of all
// Leases of the ring in the order of their versions, and hands for writing. It knows neither objects nor
// receivers. In come Leases; out come [Membership.MaySend] and [Membership.BeforeWrite] for those who send,
// the [Drainer] calls that let requests in flight end before a partition is given away, and [Membership.View]
// for people.
//
//	New ──▶ Run: list and watch Leases ──▶ join ──▶ renew, follow the others, hand over ──▶ ctx ends ──▶ Release
//
// Run blocks until its context ends. It gives nothing back by itself: after it a member looks as if it had
// crashed, and the others wait for its Lease to expire. The app therefore stops taking work, flushes while
// Run goes on renewing, calls Release, which returns when the Lease is released, and ends Run last. MaySend,
// BeforeWrite, Partition and WithFence do not block and take no lock; everything exported is safe for
// concurrent use.
//
// # The Lease
//
// There is one for each member, named <ring>-<pod>, in the namespace of the release, with the label
// vectordb-sync.io/ring. The view, the ring format and what the protocol needs beyond them are annotations.
// Deleting one by hand is safe: its member joins again at once, and if it cannot, the others wait for it as
// long as for a crashed one. Writing to one by hand is not safe. Two processes must never run under one pod
// UID at the same time.
package membership
