// Package guard compares what something knew with what there is, and says how much of the difference may be deleted.
//
// [Compare] is the one comparison of the inventory and of the receiver's own list, and [Limit] the one guard.
// Each caller has rules before that of its own: whether the type can be judged, and which names are its own.
//
// What a watch or an exact list proves to be gone needs no guard. What is inferred from something that was written
// down, the inventory or the receiver's own list, may be wrong as a whole: the file of another cluster, a receiver that
// holds the documents of two, a type that was read in part. Such a mistake is large where a true finding is small, so
// beyond [Limit] nothing is deleted until a person says so.
//
// The package is pure.
package guard
