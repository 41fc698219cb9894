// Package receiver is the reference receiver. It serves both contracts that the controller speaks, as strictly as
// the real receivers do. It has a full-text search over the documents, faults on demand, and a record of every
// request.
//
// It is built for demonstrations and tests. It ranks by words; with [Options.Embedder] also by meaning, with
// vectors from an external embedder. The controller neither needs it nor imports it. The receiver shares no code
// with the controller's encoders either: it parses JSON on its own, so that a mistake on one side cannot hide
// behind the same mistake on the other.
//
// It takes the requests of cluster-whisperer's and dot-ai's contracts, and gives their answers, status for status.
// Its records serve as the oracle of tests: [Server.Documents], [Server.Requests] and [Server.Stats]. Unlike the
// real receivers it keeps every field as sent, because a test compares all of them. (cluster-whisperer drops
// createdAt and the keys of annotations.)
//
// The way of one request:
//
//	read the whole body ─▶ parse and validate ─▶ fault? ─▶ apply step by step ─▶ make durable ─▶ answer ─▶ record
//	       │                      │                │               │
//	 client left: nothing    4xx, nothing     delay, hang,    goes on when the client leaves,
//	 was understood          is written       reset, status   as both real receivers do
//
// Documents live in memory, in two stores side by side (one per contract) and a third one for the names in
// requests to capabilities/scan. With [Options.Dir] the receiver also writes every change to an append-only log
// before it answers, so that answered changes survive kill -9. One goroutine writes to the search index behind
// the stores, which is built again at each start: it never disagrees with the documents for longer than a flush.
//
// The vectors follow the stores as the index of words does: a change marks the document, one goroutine asks the
// embedder for vectors of the marked documents, and nothing waits for it. A search joins the two rankings by the
// places in them.
//
//	change ─mark─▶ index of words ──────────────────────────────▶ ranking by words ───┐
//	          └──▶ pending ─batch─▶ embedder ─▶ vectors (a file) ─▶ ranking by meaning ─┴─ fusion ─▶ hits
//
// All exported methods are safe for concurrent use. Requests block for as long as the simulated embedder, a fault
// or the disk takes. Otherwise only [Server.Search] blocks, which waits for the index to catch up and two seconds
// at most for the embedder. [New] starts three goroutines at most (log, index and vectors); [Server.Close] ends
// them, and every request that a fault holds.
package receiver
