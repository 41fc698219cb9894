// Package target is one receiver with everything that serves it. A [Target] is made of a [Spec], which says what the
// receiver is, and of [Parts], which all targets share. What it does stands in other packages; what stands here is how
// they hang together for one receiver:
//
//	index ──changes──▶ projection ──▶ pipeline ──▶ Connection ──▶ receiver
//	                                   ▲  ▲  │ delivered
//	backfill ──what there was──────────╯  │  ▼
//	resync: part.go ──sent again──────────┤  progress ◀──▶ checkpoints of all members
//	deletions, orphans ──what was missed──╯  │
//	                                         ╰──▶ handoff.go: drained, taken up
//
// Its life is drawn at [State]. A [Set] has all targets of a replica; [Declared] makes those that ResourceSyncConfigs
// name, and package retired keeps what one leaves to its successor.
//
// [Target.Start] begins three stages, which end in this order: what looks at the cluster, what sends, what writes
// checkpoints. [Target.Flush], [Target.CutOff], [Target.Leave] and [Target.Stop] end them, and block; so do the methods
// that take a context. [Target.Apply] is called under the lock of a type, and blocks for nothing but the pipeline's and
// the projection's, which are the innermost. The lock of a life is held for no call.
package target
