// Package resource names things: what a Kubernetes object is called at the receiver, what of it is sent, and how
// two states of it are told apart.
//
// A [Type] is one kind of thing the API server serves (deployments.v1.apps). An [ID] is one object of a type, the
// identity of its document at every receiver and the key that the ring hashes. A [Record] is what this process keeps
// of one observed state: name, digest, resourceVersion and, while it is to be sent, a packed [Body].
//
// The package is pure: no clock, no goroutine, no network, no global state. Everything in it is safe for
// concurrent use because nothing in it is changed after it was made.
package resource
