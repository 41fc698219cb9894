// Package vectors keeps one vector for each text and finds the documents whose text is nearest to a question.
//
//	document ─key─▶ hash of its text ─▶ vector
//
// A text has one vector, however many documents have that text, and the vector is dropped with the last of them. So
// a document that is written again unchanged, or a second one with the same words, costs no embedding.
//
// With a path, a bbolt file keeps the vectors across a restart: [Open] reads them all, the caller names the
// documents by [Store.Assign], and [Store.Prune] drops vectors that no document needs. The file is a cache, and
// never the only copy of any data. Open begins a file anew that belongs to another model, or cannot be read.
//
// All vectors are in memory, and [Store.Nearest] compares with each: 20,000 of 768 numbers are 60 MB and take some
// tens of milliseconds. All have one dimension; the first [Store.Add] sets it, and [Store.Reset] forgets it. A
// Store is safe for concurrent use; it has one lock, and takes no other while it holds it.
package vectors
