// Package typeset carries what discovery finds to the watches and the index, in an order that loses nothing: the watch
// of a type has ended before its objects are forgotten, and a type that takes another's place is delivered before what
// the other has left is deleted. The life of a type:
//
//	            served              another version takes its place
//	(unknown) ─────────▶ watched ──────────────────────────────────▶ migrating
//	   ▲                  │  ▲ ▲          served again                │  │
//	   │                  │  │ ╰──────────────────────────────────────╯  │
//	   │  removed         │  │                                           │ its successor is delivered, or removed
//	   ╰── its watch ◀────╯  ╰ wanted again ─ unwatched ◀ not wanted     │
//	       has ended ◀───────────────────────────────────────────────────╯
//
// What is no longer wanted keeps its objects. [Set.Apply] blocks until the types that are gone are forgotten. One
// goroutine for each migration asks whether the successor is delivered; it ends with the context of Apply. The lock of
// a Set is taken before those of watches and index.
package typeset
