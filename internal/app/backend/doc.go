// Package backend answers the questions of the API (package api) and of the debug endpoints (package inspect). It
// asks the parts of the replica, each through a small interface, adds up the answers of several receivers, and
// converts them into the types of its caller:
//
//	api, inspect ──▶ Backend ──┬──▶ Source: index, discovery, watches, verification
//	                           ├──▶ Members: who shares the work
//	                           ╰──▶ Target: pipeline, checkpoints and resyncs, for each receiver
//
// The package keeps no state, and many goroutines may call its methods. Methods that take a context block, as
// package api says. A question about an operation that this replica does not know yet goes to the API server, for
// five seconds at most.
package backend
