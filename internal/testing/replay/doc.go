// Package replay serves a recording of a cluster as its API server would, multiplied to any size, at a fraction of
// the cost.
//
// It measures the cost of a replica: two cores that also run etcd and kube-apiserver cannot make the load. The
// server answers a replica in the same encodings over the same TLS and HTTP/2: discovery, paged lists, streamed
// lists, watches with bookmarks, and reviews of rights. It keeps the replicas' own objects, mainly Leases and
// ConfigMaps, in memory, and compares and swaps them by resourceVersion.
//
//	real API server ─ Record ─▶ Recording ─ Start ─▶ Server ◀─ Touch, Relabel, Delete, Create
//	                                                    │ lists, watches
//	                                                    ▼
//	                                                 replicas
//
// An object of a [Server] is a recorded one under another name, with the same labels, annotations and managedFields.
// Without a number of objects, the server serves the recording as it is.
// TestReplay_OfARealAPIServer_ShowsTheSame compares the two.
//
// It lacks admission, authorization, selectors that an object leaves while it is watched, full objects of types that
// clients do not write, lists of the past, and the order of names in a list.
//
// A [Server] is safe for concurrent use.
package replay
