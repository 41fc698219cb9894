// Package controller makes receivers out of ResourceSyncConfig objects and writes back how they fare.
//
// In come the objects, read through one cache, and the Secrets that they name, each through a watch of that one Secret;
// Secrets that no object names are never asked for. Out go calls to [Targets], which runs the receivers: a valid object
// with a credential is Set, one that is gone, invalid or without a credential is removed, one whose
// credential rotates is told so. What [Targets] reports becomes the status, written by the member that owns
// the object, at most once every ten seconds and never without a change, and an Event when a condition turns.
//
//	             ┌────────────── the spec cannot be followed, or is a duplicate ──▶ InvalidSpec, DuplicateTarget
//	object ──────┤
//	             └─▶ Secret missing ──appears──▶ running ──Secret goes──▶ running without a credential
//	                                              │  ▲                              │
//	                                              └──┴───── spec changes, restarts ─┘
//
// A receiver whose Secret disappears goes on watching, and sends nothing until it is back: nothing is lost.
// One that never had a credential holds no memory.
//
// The package does not deliver, does not know the ring, and has no finalizer: deleting an object deletes nothing at the
// receiver. Parsing specs is a pure function, and so is [status.Of], which makes statuses. [Controller.Run] blocks
// until its context ends; the functions of a [Target] are safe for concurrent use and do not block.
package controller
