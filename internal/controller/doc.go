// Package controller makes receivers out of ResourceSyncConfig objects, and writes their status back.
//
// It reads the objects through one cache, and the Secrets that they name, each through a watch of that one Secret;
// it never asks for Secrets that no object names. It calls [Targets], which runs the receivers: it sets a valid
// object with a credential, removes one that is gone, invalid or without a credential, and reports a rotated
// credential. The reports of [Targets] become the status. The member that owns the object writes the status, at
// most once every ten seconds and only if it has changed. It also writes an Event when a condition changes.
//
//	             ┌────────────── the spec cannot be followed, or is a duplicate ──▶ InvalidSpec, DuplicateTarget
//	object ──────┤
//	             └─▶ Secret missing ──appears──▶ running ──Secret goes──▶ running without a credential
//	                                              │  ▲                              │
//	                                              └──┴───── spec changes, restarts ─┘
//
// A receiver whose Secret disappears goes on watching, and sends nothing until the Secret is back: no change is
// lost. A receiver that never had a credential holds no memory.
//
// The package does not deliver, does not know the ring, and has no finalizer: deleting an object deletes nothing at
// the receiver. The function that parses specs is pure, and so is [status.Of], which makes statuses.
// [Controller.Run] blocks until its context ends; the functions of a [Target] are safe for concurrent use and do
// not block.
package controller
