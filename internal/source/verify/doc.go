// Package verify compares the index with the cluster, and with the indexes of the other members. A watch can lose
// an event, and no later event would reveal the loss.
//
// Doubt has three sources, and one repair:
//
//	peers    each member tells (version, objects, sum) of each type. With all events up to a version the sum must be
//	         the same: of two members that differ, one has lost an event, and both list the type anew. A member that
//	         does not reach another's version within [patience] has lost an event, too.
//	lists    the member that the ring names for a type lists it once an interval, consistently, and compares at the
//	         list's version; it tells the others the sum of the list, and they compare as well.
//	resyncs  a resync compares its lists with the index, object by object ([Part]).
//
//	         ┌──────┐ no difference
//	claim ──▶│ open │───────────────▶ equal
//	         └──────┘
//	            │ another sum, or the version is not reached in time
//	            ▼
//	         ┌───────┐ pause is over ┌───────────┐ listed anew
//	         │ doubt │──────────────▶│ relisting │────────────▶ repaired
//	         └───────┘               └───────────┘
//
// A claim of a version that the index no longer remembers proves nothing and is dropped.
//
// The package deletes nothing and sends nothing. If a list of its own differs from the index, it believes the
// difference only after a second list. Then it asks the type's Reflector for a list ([Relister]), and the index
// takes that list as the truth, as it does every complete list. A list that fails, at once or in the middle,
// proves nothing. The package reads lists in pages, sums them and throws them away.
//
// Members send each other [Statement] values in one ConfigMap for each member, which [Store] writes and follows.
//
// A [Verifier] is safe for concurrent use. [Verifier.Run], [Verifier.Wait] and [Part.Settle] block.
// [Verifier.mu] is the only lock; it is never held while a Lister, a Relister or a Teller is called.
package verify
