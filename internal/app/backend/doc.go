// Package backend answers what a replica is asked: by the API (package api), and by those who look inside (package
// inspect). It asks the parts of the replica, each through what it needs of it, adds up what several receivers say, and
// puts it into the words of the one who asks:
//
//	api, inspect ──▶ Backend ──┬──▶ Source: index, discovery, watches, verification
//	                           ├──▶ Members: who shares the work
//	                           ╰──▶ Target: pipeline, checkpoints and resyncs, for each receiver
//
// It keeps nothing, and its methods may be called by many goroutines. Those that take a context block, as package api
// says; of an operation that nobody has told us of the API server is asked, for five seconds at most.
package backend
