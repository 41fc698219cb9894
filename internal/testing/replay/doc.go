// Package replay serves a recording of a cluster as its API server would, multiplied to any size, at a fraction of the
// cost.
//
// It measures what a replica pays: two cores that also run etcd and kube-apiserver cannot make the load. The
// server answers a replica in the same encodings over the same TLS and HTTP/2: discovery, paged lists, streamed
// lists, watches with bookmarks, and reviews of rights. It keeps what a replica writes, Leases and ConfigMaps
// above all, in memory, compared and swapped by resourceVersion.
//
//	real API server ─ Record ─▶ Recording ─ Start ─▶ Server ◀─ Touch, Relabel, Delete, Create
//	                                                    │ lists, watches
//	                                                    ▼
//	                                                 replicas
//
// An object of a [Server] is one of the recording under another name, with the labels, the annotations and the
// managedFields that a real API server gave that one. Without a number of objects, the server serves the
// recording as it is: TestTheSameIsSeenAsOfTheRealOne compares the two.
//
// It lacks admission, authorization, selectors that an object leaves while it is watched, full objects of types
// that clients do not write, lists of the past, and the order of names in a list.
//
// A [Server] is safe for concurrent use.
package replay
