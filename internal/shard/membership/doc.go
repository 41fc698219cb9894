// Package membership keeps this replica a member of its ring. It holds the replica's Lease, watches the Leases of
// all members, and says at any moment for which IDs this replica may send.
//
// The [ownership.Machine] decides. This package gives it a clock and one watch of all Leases of the ring in the
// order of their versions, and writes for it. It takes Leases, and knows neither objects nor receivers. Senders
// ask [Membership.MaySend] and [Membership.BeforeWrite]. The [Drainer] lets requests in flight end before a
// partition is given away. [Membership.View] is for people.
//
//	New ──▶ Run: list and watch Leases ──▶ join ──▶ renew, follow the others, hand over ──▶ ctx ends ──▶ Release
//
// Run blocks until its context ends. Run alone gives nothing back: after it, a member looks as if it had crashed,
// and the others wait for its Lease to expire. The app therefore stops taking work, flushes while Run goes on
// renewing, calls Release, which returns when the Lease is released, and ends Run last. MaySend, BeforeWrite,
// Partition and WithFence do not block and take no lock; everything exported is safe for concurrent use.
//
// # The Lease
//
// There is one Lease for each member, named <ring>-<pod>, in the namespace of the release, with the label
// vectordb-sync.io/ring. Annotations hold the view, the ring format and everything else that the protocol needs.
// Deleting a Lease by hand is safe: its member joins again at once. If the member cannot join, the others wait
// for it as long as for a crashed one. Writing to a Lease by hand is not safe. Two processes must never run under
// one pod UID at the same time.
package membership
