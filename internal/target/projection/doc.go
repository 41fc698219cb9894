// Package projection shows one receiver what it is to have of the objects that all receivers share: some of them,
// with some of their labels and annotations. A receiver behind a [Projection] is told exactly what it would be told
// if nobody else wanted more. Of each object it is in one of three states, for the receiver:
//
//	         selected, as it is kept
//	new ──────────────────────────────▶ as the index knows it (nothing is remembered) ◀─╮
//	  │      selected, with less of it                                                  │ any of them
//	  ├───────────────────────────────▶ seen otherwise (its digest is remembered)    ◀──┤ with a change
//	  │      not selected                                                               │
//	  ╰───────────────────────────────▶ hidden (that is remembered)                  ◀──╯
//
// A change after which an object is hidden is a deletion to the receiver. [Projection.See] is called by the index, in
// the order of each type's changes; nothing here blocks.
package projection
