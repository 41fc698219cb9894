// Package embedder is an embedder for tests and measurements: it speaks OpenAI's /v1/embeddings, gives the
// same text the same vector on every machine, counts what it is asked, and fails on demand.
//
//	text ─▶ words ─▶ each its own direction, and that of the group of words that mean much the same ─▶ sum, normalised
//
// It is no model: of meaning it knows the groups that are written down in it. It shows that the machinery
// works, and what a ranking gains from vectors that are about right; how good a model is, it does not show.
//
// All methods are safe for concurrent use. A handler that is told to wait does so until its client leaves or
// [Embedder.Release].
package embedder
