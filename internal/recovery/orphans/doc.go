// Package orphans asks a receiver what it holds, and finds the documents whose objects are gone.
//
// It is for what no watch, no exact list and no inventory can tell any more: deletions from before everything that is
// written down. Only dot-ai can be asked; cluster-whisperer has no list over HTTP ([ErrNoList]).
//
// dot-ai reads the first 10,000 points of its collection, of all kinds together, and filters them afterwards. What it
// lists is held, and may be judged. What it does not list is absent only if the collection is smaller than that:
// otherwise every kind is blind, which [Verdict] says, and nothing is concluded from what is not seen. As orphans are
// deleted, further documents come into sight, so passes that are repeated come to an end.
//
// [Judge] is the rule, a pure function. A document is an orphan when its type has a complete list that lacks
// the object. Left alone are namespaces that are not watched, and documents that do not have the identity under which
// this program would have sent them: they are somebody else's, or deleting them would delete another. The comparison
// and the guard are those of the inventory (package guard): a receiver may hold the documents of two clusters.
//
// A verdict is as old as the list behind it. The member that deletes asks again whether the object is there,
// at that moment and under the lock that orders changes.
//
// [Finder] joins the two, for one receiver:
//
//	a resync, or a type of which ──▶ Repair ──list──▶ Judge ──▶ deleted, or held for a person
//	nothing else can tell              ╰─ what is deleted meanwhile is noted ([Finder.Applied])
//
// [Finder.Run] asks of its own accord. Of members that know equally little the first by name asks, and the others take
// its word. This loop is not that of the finder of deletions, which calls nobody but the API server: a receiver that is
// slow to list must not hold up what every checkpoint waits for.
//
// [Client] and [Finder.Repair] block for the network; each request is bounded in time, each answer in
// bytes, each list in documents. Nothing is retried: the next pass is the retry. All of it is safe for concurrent
// use.
package orphans
