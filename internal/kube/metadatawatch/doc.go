// Package metadatawatch is a metadata client whose watches cost little memory.
//
// A watch of client-go's metadata client has a goroutine that decodes events, with a stack that has grown by it, a
// buffer of its own, and a copy of its request. They are small, and a cluster full of custom types has a thousand
// of them for good. Here the taker of the events decodes them, in its own goroutine, with [Watch.Next]; what is
// needed only while there is an event is borrowed for that long.
//
// Nine tenths of an event's bytes are of no use to this process: managedFields, and the whole object once more in
// kubectl's last-applied-configuration. The decoder skips them in the buffer, and they never become objects
// (slim.go). Of managedFields it keeps one entry with the time of the newest write of labels or annotations.
//
// The client reads a list for a comparison ([StateLister]) through one buffer, object by object. Only names and
// versions become memory, in one piece for each [Page] (states.go, decodestates.go).
//
// [Watch.Next] blocks until the server sends something or the watch is stopped. Nothing else does, and everything
// but Next is safe for concurrent use.
package metadatawatch
