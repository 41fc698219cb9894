// Package shard is the floor of ownership: which member sends a change. It has no code of its own; its packages,
// in the order of the data:
//
//	Leases ──▶ membership ──seen Leases, clock──▶ ownership ──▶ may this member send for this partition?
//	              ▲                                  ▲
//	              ├── own Lease, fence               └── ring: partition → member
//	              └── handoff: what is given up is drained, what is gained is caught up with
//
// The packages ring and ownership are pure: they have no clock, no goroutine and no Kubernetes.
package shard
