// Package progress is what the members tell each other, of one receiver, by their checkpoints.
//
//	pipeline: not acknowledged ──╮                                         others' checkpoints
//	search: how far was seen ────┼▶ gather ─▶ compose ─▶ compare ─▶ write        │
//	tombstones: open, delivered ─┤             (pure)   (say it     (one        ▼
//	member's statistics ─────────╯                       once)    ConfigMap)  receive ─▶ forget what is covered,
//	                                                                                     take what is named as open
//
// A [Publisher] writes ours, at most every ten seconds and whenever something is given up, and follows the
// others'. What is gathered is read in one order: first how far each type was seen, then what of it is not
// acknowledged. What comes in between is above that version. One checkpoint is computed and written at a time;
// that lock is the outermost.
//
// [Answers] are what a pipeline asks of checkpoints about single states. [MemberStats] go beside a checkpoint, for sums
// over all members.
//
// [Publisher.Run], [Publisher.Publish] and [Publisher.PublishLast] block for the API server. All is safe for concurrent
// use.
package progress
