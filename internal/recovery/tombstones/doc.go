// Package tombstones exchanges the deletions that a receiver may not know of, by name, among all members.
//
// An upsert costs an embedding, so what is said of upserts rests on versions ([checkpoint.Entry]). A deletion
// is cheap, and to repeat it harms nothing, so no argument over versions is needed. Each member keeps a
// tombstone for every deletion that it has seen, its own to send or another's, until some member names it as
// delivered:
//
//	another member sees            the owner of the object
//	a deletion                     takes it, if its own list lacks the object
//	   │                              ▲                │
//	   ▼                              │                ▼
//	 kept ──10 s──▶ named as open ────╯            delivered ──▶ named as delivered
//	   ▲                                                                │
//	   ╰──────────────────── forgotten by all ◀─────────────────────────╯
//
// What a member names as open stays in its ConfigMap when it dies, and is taken all the same. Once all of it
// is delivered, the first of the live members strikes it out. A successor of its name carries it on.
//
// [Set] is that of one target. It takes the time as an argument, calls nobody with its lock held,
// and is safe for concurrent use.
package tombstones
