// Package metadatawatch is a metadata client whose watches cost little memory.
//
// A watch of client-go's metadata client has a goroutine that decodes events, with a stack that has grown by it, a
// buffer of its own, and a copy of its request. They are small, and a cluster full of custom types has a thousand
// of them for good. Here the taker of the events decodes them, in its own goroutine, with [Watch.Next]; what is
// needed only while there is an event is borrowed for that long.
//
// [Watch.Next] blocks until the server sends something or the watch is stopped. Nothing else does, and everything
// but Next is safe for concurrent use.
package metadatawatch
