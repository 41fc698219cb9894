// Package plan tells which objects a process with certain settings would send, and sends nothing.
//
//	settings ─▶ discovery, once ─▶ a list of each type ─▶ a watch from there ─▶ Report
//	                                      │                     │
//	                        what is sent, what is left    what would be sent again,
//	                        out and why, in bytes         for which label, a day
//
// The package reads as a replica does: the same types, the same metadata as protobuf and page by page, the same
// filters, the same encoder, the same debounce. So its numbers are those of a first sync with the same settings.
// A replica's own ConfigMaps, a handful, come on top, and do not exist yet when nothing is installed.
//
// The package uses only read verbs: discovery, list and watch, and a list of ResourceSyncConfigs if the caller
// wants it. It takes no Lease, asks no receiver, and writes nothing anywhere.
//
// In memory it holds a page of each list that is being read, sums by type and namespace, and, while it watches for
// changes, about 150 bytes of each object.
//
// [Run] blocks for as long as lists take, and then for [Options.Watch]. Every goroutine that it starts ends before
// it returns. Only one goroutine at a time may use the rest of the package.
package plan
