// Package progress is what the members tell each other about one receiver, through their checkpoints.
//
//	pipeline: not acknowledged ──╮                                         others' checkpoints
//	search: how far was seen ────┼▶ gather ─▶ compose ─▶ compare ─▶ write        │
//	tombstones: open, delivered ─┤             (pure)   (say it     (one        ▼
//	member's statistics ─────────╯                       once)    ConfigMap)  receive ─▶ forget what is covered,
//	                                                                                     take what is named as open
//
// A [Publisher] writes this member's checkpoint, at most every ten seconds and whenever the member gives
// something up, and follows the checkpoints of the others. It gathers in one order: first how far each type was
// seen, then which of its changes are not acknowledged. So a change that comes in between is above that version.
// The Publisher computes and writes one checkpoint at a time; that lock is the outermost.
//
// [Answers] answer a pipeline's questions about single states from the checkpoints. [MemberStats] travel beside a
// checkpoint, for sums over all members.
//
// [Publisher.Run], [Publisher.Publish] and [Publisher.PublishLast] block for the API server. Everything is safe
// for concurrent use.
package progress
