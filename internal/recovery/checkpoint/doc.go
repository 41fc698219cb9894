// Package checkpoint records how far a target is known to be in step, so that another member, or the next process
// of this one, need not send again what the receiver has.
//
// A [Checkpoint] is one member's statement about one target. For each resource type, every change up to High in
// the member's partitions is acknowledged, except for the objects in Except; if those were too many to name, only
// up to Low. It speaks for the partitions that its view gives to the member, and for no others. It stays true for
// ever, as long as the receiver is the same, which the fingerprint ensures.
//
// A member publishes two. One is exact and speaks for its own partitions; by it the others forget what they have
// parked. The other speaks for all partitions, without exceptions, since the member knows of every change whether
// it has seen it acknowledged or not. The second is what a restart of all members relies on, whichever member
// comes back first and whatever its share was. It says separately up to which version deletions are acknowledged,
// while some may still have to be found.
//
// Every member keeps the [Ledger] of all checkpoints it has seen. A parked change that another member's
// checkpoint covers is delivered and forgotten. An object of the first list that a checkpoint covers is in step
// and not sent.
//
// A member whose watch has lost an event does not know that its checkpoint covers a change that it never saw. So
// its entries contain the sum of its index, and the others forget covered changes only where nothing contradicts
// that sum ([Ledger.Confirms]).
//
// Checkpoints travel in ConfigMaps, one for each member and target, that [Store] writes and watches. Checkpoint and
// Entry are pure values; a Ledger and a Store are safe for concurrent use; [Store.Run] and [Store.Publish] block.
package checkpoint
