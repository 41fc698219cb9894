// Package httpclient asks a receiver a question, beside the deliveries: one request, one bounded answer.
//
// It is for questions and hints: none of them may hold up a delivery, and losing one does no harm. Data that must
// arrive goes through package delivery, which has a fence and reports the outcome of an interrupted request; this
// package has neither. It follows no redirect, because a redirect would take the credential elsewhere. It keeps no
// connection idle for longer than Node.js does, and never repeats the token in an error.
//
// A [Client] is safe for concurrent use. [Client.Do] blocks for the timeout at most.
package httpclient
