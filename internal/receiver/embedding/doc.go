// Package embedding turns texts into vectors by asking an embedder that speaks OpenAI's /v1/embeddings, as
// Ollama, Hugging Face's Text Embeddings Inference and vLLM do.
//
//	texts ─▶ one POST ─▶ as many vectors, in order, of one dimension, each of length 1
//
// [Client.Embed] blocks for one request, bounded by its context and [Options.Timeout]; it retries nothing. It takes
// an answer as a whole or not at all: a missing number, a second dimension or a value that is no number is an
// error. If the embedder refuses a text, the error is a [RefusedError]; waiting may cure every other error. A
// Client is safe for concurrent use.
package embedding
