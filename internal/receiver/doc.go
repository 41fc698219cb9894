// Package receiver is the reference receiver: both contracts that the controller speaks, as strict as the programs it
// stands in for, with a full-text search over what was received, faults on demand, and a record of every request.
//
// It is built for demonstrations and tests. It ranks by words; with [Options.Embedder] by meaning as well, by
// vectors that an embedder elsewhere gives. The controller neither needs it nor imports it. Nor does it share
// code with the controller's encoders: it parses JSON on its own, so that a mistake on one side cannot hide
// behind the same mistake on the other.
//
// Going in are the requests of cluster-whisperer's and dot-ai's contracts; what comes out are their answers, status
// for status. What is kept beside them serves as the oracle of tests: [Server.Documents], [Server.Requests] and
// [Server.Stats]. Unlike the real ones it keeps every field that was sent (cluster-whisperer drops createdAt and the
// keys of annotations), because a test wants to compare all of it.
//
// The way of one request:
//
//	read the whole body ─▶ parse and validate ─▶ fault? ─▶ apply step by step ─▶ make durable ─▶ answer ─▶ record
//	       │                      │                │               │
//	 client left: nothing    4xx, nothing     delay, hang,    goes on when the client leaves,
//	 was understood          is written       reset, status   as both real receivers do
//
// Documents live in memory, in two stores side by side (one per contract) and a third one for the names that
// capabilities/scan was given. With [Options.Dir] every change is also in an append-only log before it is answered,
// so that what was answered survives kill -9. The search index lives behind the stores, is written to by one
// goroutine, and is built again at each start: it can never disagree with the documents for longer than a flush.
//
// Vectors are behind the stores as the index of words is: a change marks the document, one goroutine asks the embedder
// for what is marked, and nobody waits for it. A search joins the two rankings by the places in them.
//
//	change ─mark─▶ index of words ──────────────────────────────▶ ranking by words ───┐
//	          └──▶ pending ─batch─▶ embedder ─▶ vectors (a file) ─▶ ranking by meaning ─┴─ fusion ─▶ hits
//
// All exported methods are safe for concurrent use. Requests block for as long as the simulated embedder, a fault or
// the disk takes; nothing else does, except [Server.Search], which waits for the index to catch up
// and two seconds at most for the embedder. [New] starts three
// goroutines at most (log, index and vectors); [Server.Close] ends both and every request that a fault holds.
package receiver
