// Package resource names things: the ID of a Kubernetes object at the receiver, the parts of the object that are
// sent, and the digest that distinguishes two of its states.
//
// A [Type] is one kind of thing the API server serves (deployments.v1.apps). An [ID] is one object of a type, the
// identity of its document at every receiver and the key that the ring hashes. A [Record] is what this process
// keeps of one observed state: name, digest, resourceVersion and, while the state is to be sent, a packed [Body].
//
// The package is pure: no clock, no goroutine, no network, no global state. All of it is safe for concurrent use,
// because no value changes after it was made.
package resource
