// Package orphans asks a receiver for its documents, and finds those whose objects are gone.
//
// It finds deletions that no watch, exact list or inventory can reveal: those from before every record. Only
// dot-ai can be asked; cluster-whisperer has no list over HTTP ([ErrNoList]).
//
// dot-ai reads the first 10,000 points of its collection, of all kinds together, and filters them afterwards. The
// receiver holds each document that it lists, and [Judge] may judge it. A document that it does not list is
// absent only if the collection is smaller than that limit. Otherwise the list is incomplete for every kind,
// which [Verdict] says, and the package concludes nothing from missing documents. As orphans are deleted, further
// documents come into view, so repeated passes come to an end.
//
// [Judge] is the rule, a pure function. A document is an orphan when its type has a complete list that lacks the
// object. Judge leaves alone namespaces that are not watched, and documents whose identity this program would not
// have used: they belong to another program, or deleting them would delete another document. The comparison and
// the guard are those of the inventory (package guard), because a receiver may hold the documents of two
// clusters.
//
// A verdict is as old as the list behind it. The member that deletes checks again whether the object exists, at
// that moment and under the lock that orders changes.
//
// [Finder] joins the two, for one receiver:
//
//	a resync, or a type of which ──▶ Repair ──list──▶ Judge ──▶ deleted, or held for a person
//	nothing else can tell              ╰─ what is deleted meanwhile is noted ([Finder.Applied])
//
// [Finder.Run] asks by itself. Of members that know equally little, the one whose name comes first asks, and the
// others accept its result. This loop is separate from that of the finder of deletions, which calls only the API
// server: a receiver that lists slowly must not hold up the search that every checkpoint waits for.
//
// [Client] and [Finder.Repair] block for the network; each request is bounded in time, each answer in bytes, each
// list in documents. They retry nothing: the next pass is the retry. Everything in the package is safe for
// concurrent use.
package orphans
