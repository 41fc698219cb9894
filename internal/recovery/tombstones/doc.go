// Package tombstones exchanges the deletions that a receiver may not know of, by name, among all members.
//
// An upsert costs an embedding, so claims about upserts rest on versions ([checkpoint.Entry]). A deletion is
// cheap, and repeating it does no harm, so it needs no argument over versions. Each member keeps a tombstone for
// every deletion that it has seen, its own to send or another's, until some member names it as delivered:
//
//	another member sees            the owner of the object
//	a deletion                     takes it, if its own list lacks the object
//	   │                              ▲                │
//	   ▼                              │                ▼
//	 kept ──10 s──▶ named as open ────╯            delivered ──▶ named as delivered
//	   ▲                                                                │
//	   ╰──────────────────── forgotten by all ◀─────────────────────────╯
//
// The tombstones that a member names as open stay in its ConfigMap when it dies, and their owners take them all
// the same. Once all of them are delivered, the first of the live members removes the list. A successor of that
// name continues it.
//
// A [Set] holds the tombstones of one target. It takes the time as an argument, calls no one with its lock held,
// and is safe for concurrent use.
package tombstones
