// Package typeset applies what discovery finds to the watches and the index, in an order that loses nothing. The
// watch of a type has ended before the objects of the type are forgotten. A type that replaces another is
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
// A type that is no longer wanted keeps its objects. [Set.Apply] blocks until the removed types are forgotten.
// One goroutine for each migration asks whether the successor is delivered; it ends with the context of Apply.
// The lock of a Set is taken before those of watches and index.
package typeset
