// Package plan tells what a process with some settings would send, and sends nothing.
//
//	settings ─▶ discovery, once ─▶ a list of each type ─▶ a watch from there ─▶ Report
//	                                      │                     │
//	                        what is sent, what is left    what would be sent again,
//	                        out and why, in bytes         for which label, a day
//
// It reads as a replica reads: the same types, the same metadata as protobuf and page by page, the same
// filters, the same encoder, the same debounce. So its numbers are those of a first sync of the same
// settings. A replica's own ConfigMaps come on top, a handful, and are not there yet when nothing is
// installed.
//
// Only read verbs are used: discovery, list and watch, and a list of ResourceSyncConfigs where they are
// wanted. No Lease is taken, no receiver is asked, and nothing is written anywhere.
//
// What is held in memory is a page of each list that is under way, sums by type and namespace, and, while changes are
// watched for, about 150 bytes of each object.
//
// [Run] blocks for as long as lists take, and then for [Options.Watch]. What it starts ends before it
// returns. All else in the package is used by one goroutine at a time.
package plan
