// Package index knows every object of every watched type, in about eighty bytes each. It keeps the name, the
// digest of the payload that a receiver gets, and the resourceVersion.
//
// The index stands between the watches and the targets. It takes complete lists and single events
// ([watch.Sink]), and gives changes to every [Listener]. An update whose digest is the known one ends here:
// status updates, managedFields and relists cost nothing further on. An object that a list lacks is deleted,
// even after an interruption so long that its events are gone.
//
// For comparisons with the cluster and with other indexes, the index keeps a running [Sum] for each type. It is
// the XOR, over the objects, of a hash of name and resourceVersion. An event changes the sum, which costs two
// hashes. For types that change, the index remembers the last sums by version, 16 bytes each. Two indexes that
// have seen every change up to a version have the same sum there.
//
// A table for each type holds the entries in slots of 32 bytes, of which four out of five are taken. The names
// lie outside it, in blocks.
//
// The index holds no metadata and no queue. It calls a [Listener] under the lock of the type, so that the
// listener gets changes of one type in the order of the API server. A listener must not block and must not call
// back into the index. Different types are independent: calls for them run concurrently. All methods are safe
// for concurrent use.
package index
