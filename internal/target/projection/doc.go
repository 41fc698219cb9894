// Package projection shows one receiver its part of the objects that all receivers share: some of them, with some
// of their labels and annotations. A receiver behind a [Projection] sees exactly the objects that it would see if
// no other receiver wanted more. For the receiver, each object is in one of three states:
//
//	         selected, as it is kept
//	new ──────────────────────────────▶ as the index knows it (nothing is remembered) ◀─╮
//	  │      selected, with less of it                                                  │ any of them
//	  ├───────────────────────────────▶ seen otherwise (its digest is remembered)    ◀──┤ with a change
//	  │      not selected                                                               │
//	  ╰───────────────────────────────▶ hidden (that is remembered)                  ◀──╯
//
// A change that hides an object is a deletion to the receiver. The index calls [Projection.See], in the order of
// each type's changes; no method blocks.
package projection
