// Package embedder is an embedder for tests and measurements. It speaks OpenAI's /v1/embeddings, gives the same text
// the same vector on every machine, counts its requests, and fails on demand.
//
//	text ─▶ words ─▶ each its own direction, and that of the group of words that mean much the same ─▶ sum, normalised
//
// It is no model: it knows only the groups of words that are written into it. It shows that the machinery works, and
// how much a ranking gains from roughly right vectors, but not how good a model is.
//
// All methods are safe for concurrent use. A handler that hangs does so until its client leaves or
// [Embedder.Release].
package embedder
