// Package typeset applies what discovery finds to the watches and the index, in an order that loses nothing. The
// watch of a type ends before the index forgets the objects of the type. A type that replaces another is
// delivered before the documents of the other are deleted. The life of a type:
//
//	            served              another version takes its place
//	(unknown) ─────────▶ watched ──────────────────────────────────▶ migrating
//	   ▲                  │  ▲ ▲          served again                │  │
//	   │                  │  │ ╰──────────────────────────────────────╯  │
//	   │  removed         │  │                                           │ its successor is delivered, or removed
//	   ╰── its watch ◀────╯  ╰ wanted again ─ unwatched ◀ not wanted     │
//	       has ended ◀───────────────────────────────────────────────────╯
//
// A type that is not wanted any more keeps its objects. [Set.Apply] blocks until the removed types are
// forgotten. For each migration, one goroutine asks whether the successor is delivered; it ends with the context
// of Apply. The lock of a Set is taken before the locks of watches and index.
package typeset
