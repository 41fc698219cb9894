// Package checkpoint writes down how far a target is known to be in step, so that another member, or the next life of
// this one, need not send again what the receiver has.
//
// A [Checkpoint] is one member's word about one target: for each resource type, everything in the member's partitions
// that changed up to High is acknowledged, but for the objects in Except; where those were too many to name, up to Low.
// It speaks for the partitions that its view gives to the member, and for no others. It stays true for ever after, as
// long as the receiver is the one it speaks of: that is what the fingerprint is for.
//
// A member publishes two: one for its own partitions, exact, by which the others forget what they have parked; and one
// for all partitions, without exceptions, since it knows of every change whether it has seen it acknowledged. The
// second is what a restart of everything goes by, whichever member comes back first and whatever its share
// was. It says apart up to which version deletions are acknowledged, as long as some may still have to be
// found.
//
// Every member keeps the [Ledger] of all checkpoints it has seen. A parked change that somebody's checkpoint covers is
// delivered and forgotten; an object that the first list brings and a checkpoint covers is in step and not sent.
//
// A member whose watch has lost an event does not know that it covers what it never saw. So its entries tell the sum of
// its index, and what it covers is forgotten only where nothing contradicts that sum ([Ledger.Confirms]).
//
// Checkpoints travel in ConfigMaps, one for each member and target, that [Store] writes and watches. Checkpoint and
// Entry are pure values; a Ledger and a Store are safe for concurrent use; [Store.Run] and [Store.Publish] block.
package checkpoint
