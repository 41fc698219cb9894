// Package resync sends to one receiver again the objects that it should have already, a part at a time. Package
// operations defines the parts, and decides which member sends which part.
//
// A part is a type, or some namespaces of one. The sender reads it from the API server page by page, and offers
// each object to the receiver's pipeline, behind all live changes. It asks for the next page only when the
// receiver has taken most of the last one, so a part of any size holds a page or two. If a list expires
// meanwhile, the sender begins the list again and continues where it was. It offers only states that the index
// knows at that moment: the watch delivers newer ones, and an object that is gone does not come back.
//
// The member that sends a part has taken it. It is the only sender of all objects of the part, live changes
// included, until it gives the part back. [ErrLost] tells that the member has lost a part, before the sending or
// during it; then the part is taken and sent anew.
//
// The same paging restores the bodies of evicted objects, which a pipeline dropped to save memory ([Filler]).
//
// [Sender.Send] and [Filler.Run] block until they are done or their context ends. They start no goroutine that
// outlives them. All methods are safe for concurrent use.
package resync
