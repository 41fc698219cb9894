// Package batch cuts a sequence of items into batches that are bounded by count and by bytes.
//
// The package is pure, holds no state, and is safe for concurrent use.
package batch
