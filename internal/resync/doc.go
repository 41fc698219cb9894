// Package resync sends to one receiver again what it should have already, a part at a time. What the parts are, and who
// sends which, is decided elsewhere; see package operations.
//
// A part is a type, or some namespaces of one. It is read from the API server page by page, and each object
// is offered to the receiver's pipeline, behind all live changes. The next page is not asked for before the
// receiver has taken most of the last one, so a part of any size holds a page or two; a list that expires
// meanwhile is begun again and goes on where it was. Only states that the index knows at that moment are
// offered: what the watch has overtaken is delivered by its owner, and an object that is gone is not brought
// back.
//
// The member that sends a part has taken it: it is the only sender of all its objects, live changes included,
// until it gives the part back. What was not ours, or not to the end, is told by [ErrLost], and the part is
// taken and sent anew.
//
// The same paging gives evicted objects their bodies back: those that a pipeline gave up for lack of memory ([Filler]).
//
// [Sender.Send] and [Filler.Run] block until they are done or their context ends, and start no goroutine that outlives
// them. All methods are safe for concurrent use.
package resync
