// Package metadatawatch is a metadata client whose watches cost little memory.
//
// A watch of client-go's metadata client has a goroutine that decodes events on a grown stack. It also has a
// buffer of its own and a copy of its request. Each is small, but a cluster full of custom types keeps a
// thousand of them. Here the caller decodes events in its own goroutine, with [Watch.Next]. A buffer is borrowed
// only while an event is decoded.
//
// Nine tenths of an event's bytes are of no use to this process: managedFields, and the whole object once more
// in kubectl's last-applied-configuration. The decoder skips them in the buffer, and they never become objects
// (slim.go). It replaces managedFields by one entry with the time of the newest write of labels or annotations.
//
// The client reads a list for a comparison ([StateLister]) through one buffer, object by object. It allocates
// only names and versions, in one piece for each [Page] (states.go, decodestates.go).
//
// [Watch.Next] blocks until the server sends something or the watch is stopped. No other function of a watch
// blocks, and all but Next are safe for concurrent use.
package metadatawatch
