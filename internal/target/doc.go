// Package target is one receiver with everything that serves it. A [Target] is made of a [Spec], which describes
// the receiver, and of [Parts], which all targets share. Other packages do the work; this one connects them for
// one receiver:
//
//	index ──changes──▶ projection ──▶ pipeline ──▶ Connection ──▶ receiver
//	                                   ▲  ▲  │ delivered
//	backfill ──what there was──────────╯  │  ▼
//	resync: part.go ──sent again──────────┤  progress ◀──▶ checkpoints of all members
//	deletions, orphans ──what was missed──╯  │
//	                                         ╰──▶ handoff.go: drained, taken up
//
// [State] draws a target's life. A [Set] has all targets of a replica. [Declared] makes the targets that
// ResourceSyncConfigs name, and package retired keeps the backlog that one leaves to its successor.
//
// [Target.Start] begins three stages, which end in this order: reading the cluster, sending, writing checkpoints.
// [Target.Flush], [Target.CutOff], [Target.Leave] and [Target.Stop] end them, and block; so do the methods that
// take a context. [Target.Apply] is called under the lock of a type, and blocks only for the locks of the
// pipeline and the projection, which are the innermost. A target holds the lock of its life during no call.
package target
