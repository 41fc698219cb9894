// Package deletions finds, for one receiver, the objects that were deleted while no member watched.
//
// Each type is looked at once, when it has been listed, by a chain of evidence. The first that can tell decides:
//
//		peers ──▶ history ──▶ exact lists ──▶ inventory ──▶ nothing can tell
//
//	 1. peers: an incumbent, which was there before us, in the process that wrote its checkpoint, keeps a
//	    tombstone for every deletion (package tombstones). When it says that all is delivered up to our list, there is
//	    nothing to look for. As long as one is there, we wait for that.
//	 2. history: the API server tells the deletions since everything was acknowledged. etcd keeps about five minutes.
//	 3. exact lists: what the API server held at the versions of checkpoints, and does not hold now, was
//	    deleted. That misses what was created, delivered and deleted in between.
//	 4. inventory: what the previous process knew (package previous), within the guard.
//
// Where none can tell, the type is unknown until the receiver is asked for its own list (package orphans). The states
// of a type are drawn at [State]. Until a type is done, our checkpoints say of its deletions only what was true before
// ([Finder.Coverage]).
//
// A watch that begins anew leaves a [Gap]: a time of which it has seen only the outcome. It is looked into by the
// last checkpoints of the members that are gone. Its states are drawn at [GapState]. They are beside those of the
// search: a type that is done may have a gap, and a gap may close before anything has told of the type.
//
// A [Finder] is safe for concurrent use. [Finder.Step] and [Finder.Run] block for the API server and are called by
// one goroutine. Its mutex is the innermost but for those of the index and the ledger.
package deletions
