// Package index knows every object of every watched type, in about eighty bytes each: its name, the digest of what
// a receiver was or will be told, and its resourceVersion.
//
// It stands between the watches and the targets. What comes in are complete lists and single events ([watch.Sink]);
// what goes out are changes, to every [Listener]. An update whose digest is the known one ends here: status updates,
// managedFields and relists cost nothing further on. A list that lacks a known object is the object's deletion, also
// after a watch was interrupted for so long that its events are gone.
//
// So that it can be held against the cluster and against other indexes, it keeps for each type a running
// [Sum]: the XOR, over its objects, of a hash of name and resourceVersion, which an event changes at the
// price of two hashes. The last values are remembered by version, 16 bytes each, for types that change. Two
// indexes that have seen every change up to a version have the same sum there.
//
// A table of each type holds the entries, in slots of 32 bytes of which four of five are taken, beside the
// names, which stand in blocks.
//
// The index holds no metadata and no queue. A [Listener] is called while the lock of the type is held, so that
// changes of one type reach it in the order of the API server; it must not block and must not call back into the
// index. Different types are independent: calls for them run concurrently. All methods are safe for concurrent use.
package index
