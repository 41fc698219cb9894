// Package api serves the HTTP API of one replica: what the replica knows, which member owns what, and resyncs on
// demand; and two pages for people.
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
// The package holds no state of the product and does none of its work: everything comes from a [Backend]. A
// resync runs there, so that a client that hangs up cancels nothing. The package serves neither health probes nor
// metrics, which have ports of their own, and never offers CORS.
//
// Functions that return markup write the pages, instead of html/template. The text/template beneath that looks up
// methods by name at run time, so the linker would have to keep every exported method of every reachable type.
// Without it the stripped controller has 31.2 MB instead of 39.6, and a replica takes 4.3 MiB less of the 50 MiB
// that it may take with 20,000 objects. The benefit of html/template is kept: every value from outside is
// escaped, and the compiler enforces it.
//
// [New] starts nothing. [Server.Run] blocks until its context ends, answers the callers that still wait, and
// returns within seconds. Everything is safe for concurrent use.
package api
