// Package api serves the HTTP API of one replica: what it knows, who owns what, and resyncs on demand; and two pages
// for people.
//
//	GET  /                      index page
//	GET  /ring                  the ring as a page
//	POST /api/v1/resync         start a resync, and wait for it unless told otherwise
//	GET  /api/v1/resync         recent resyncs
//	GET  /api/v1/resync/{id}    one resync
//	POST /api/v1/verify         hold what is known against the cluster, and wait for it unless told otherwise
//	GET  /api/v1/verify         recent verifications
//	GET  /api/v1/verify/{id}    one verification
//	GET  /api/v1/status         what this replica does
//	GET  /api/v1/ring           who shares the work
//	GET  /api/v1/owner?id=      who may send one object
//	GET  /openapi.json, .yaml   this list, exactly
//
// The package holds no state of the product and does none of its work: everything comes from a [Backend], and a
// resync lives there, so that a client that hangs up cancels nothing. It serves neither health probes nor metrics,
// which have ports of their own, and it never offers CORS.
//
// The pages are written by functions that return markup, and not by html/template. The text/template beneath
// it looks up methods by name while the program runs, so that the linker has to keep every exported method of
// every type that can be reached: without it the stripped controller is of 31.2 MB instead of 39.6, and a
// replica takes 4.3 MiB less of the 50 MiB that it may take with 20,000 objects. What html/template is good
// for is kept: no value from outside gets into a page but escaped, and the compiler watches over it.
//
// [New] starts nothing. [Server.Run] blocks until its context ends, answers the callers that still wait, and
// returns within seconds. Everything is safe for concurrent use.
package api
