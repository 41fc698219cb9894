// Package deletions finds, for one receiver, the objects that were deleted while no member watched.
//
// Each type is searched once, when it has been listed, along a chain of evidence. The first source that can tell
// decides:
//
//	peers ──▶ history ──▶ exact lists ──▶ inventory ──▶ nothing can tell
//
// These are the sources:
//
//  1. Peers: an incumbent, whose process was running before this one and still runs, keeps a tombstone for every
//     deletion (package tombstones). When it reports that all are delivered up to the last list, there is nothing to
//     search. While an incumbent is there, the finder waits for that report.
//  2. History: the API server reports the deletions since everything was acknowledged. etcd keeps about five minutes.
//  3. Exact lists: an object that the API server held at the version of a checkpoint, and does not hold now, was
//     deleted. That misses objects that were created, delivered and deleted in between.
//  4. Inventory: what the previous process knew (package previous), within the guard.
//
// Where none can tell, the type is unknown until the receiver is asked for its own list (package orphans).
// [State] draws the states of a type. Until a type is done, this member's checkpoints repeat what earlier ones
// said of its deletions ([Finder.Coverage]).
//
// A watch that begins anew leaves a [Gap]: a period of which it has seen only the outcome. The finder searches a
// gap by the last checkpoints of the members that are gone. [GapState] draws its states, which are independent of
// those of the search: a type that is done may have a gap, and a gap may close before any source has told of the
// type.
//
// A [Finder] is safe for concurrent use. [Finder.Step] and [Finder.Run] block for the API server, and one
// goroutine calls them. The Finder's mutex is the innermost but for those of the index and the ledger.
package deletions
