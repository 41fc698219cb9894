// Package guard says how many deletions may be inferred at once.
//
// What a watch or an exact list proves to be gone needs no guard. What is inferred from something that was written
// down, the inventory or the receiver's own list, may be wrong as a whole: the file of another cluster, a receiver that
// holds the documents of two, a type that was read in part. Such a mistake is large where a true finding is small, so
// beyond [Limit] nothing is deleted until a person says so.
//
// The package is pure.
package guard
