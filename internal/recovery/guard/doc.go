// Package guard compares the names that a source knows with the objects in the cluster, and says how many of the
// missing ones may be deleted.
//
// [Compare] is the one comparison for the inventory and for the receiver's own list, and [Limit] the one guard.
// Before it, each caller applies rules of its own: whether the type can be judged, and which names belong to this
// controller.
//
// A deletion that a watch or an exact list proves needs no guard. A deletion inferred from a record, the
// inventory or the receiver's own list, may be wrong, and with it all others of the record. The file may belong
// to another cluster, the receiver may hold the documents of two, or the type may have been read in part. Such a
// mistake is large where a true finding is small, so beyond [Limit] nothing is deleted until a person consents.
//
// The package is pure.
package guard
