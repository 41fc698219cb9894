// Package embedder is an embedder for tests and measurements: it speaks OpenAI's /v1/embeddings, gives the
// same text the same vector on every machine, counts what it is asked, and fails on demand.
//
//	text ─▶ words ─▶ each its own direction, and that of the group of words that mean much the same ─▶ sum, normalised
//
// It is no model: it knows only the groups of words that are written into it. It shows that the machinery works,
// and what a ranking gains from vectors that are about right, but not how good a model is.
//
// All methods are safe for concurrent use. A handler that is told to wait does so until its client leaves or
// [Embedder.Release].
package embedder
