// Package operations shares out resyncs over the members of a ring. The member that receives the request plans an
// operation, once. Each member sends its own parts, and every member knows how far all of them are.
//
// The package decides which member sends which part again, and records which parts are done. The [Runner] sends a
// part, the [Catalog] lists what there is to send, and the [View] names the members.
//
// # What is written down
//
// One ConfigMap for each ring holds all operations, and each member follows it by one watch:
//
//	op.<id>            the plan: request, members, parts with assignees. Written by the member that was asked.
//	run.<id>.<member>  what one member has done of it. Written by that member.
//	last               when the last full operation ended, so that the schedule outlives everybody.
//
// Every write is an update of the version that was read, and is tried again on a conflict. That alone merges two
// equal requests to two members into one operation.
//
//	                 all parts are marked done        a member closes it
//	op, no runs ──▶ op and runs ──────────────────▶ done ─────────────▶ op with its result, no parts, no runs
//	      └──▶ the member that was asked for its own share is gone for too long ──▶ failed ──┘
//
// There is no coordinator: the marks show when an operation is done, and every member sees it at once. Closing it
// is housekeeping, which the ring gives to one member. That member removes the parts, since an operation that has
// ended needs to be neither run nor shared out. Ten ended operations are kept.
//
// # Who runs a part
//
// The first of these members that is live runs the part: the member that says that it is running it, the
// assignee, the owner of the part's key in a ring of the live members. All members compute that from the same
// data. So a dead member is replaced without any message, and a member that comes back under its name continues
// with the remaining parts. Where two members see different data for a moment, a part is sent twice, which costs
// something and does no harm.
//
// An operation with force also has a part for each member, because only the member itself knows which repairs it
// holds back.
//
// A member runs one part after another, those of small operations before those of full ones. If its Runner gives
// a part up, the member does not try it again: the part counts as done, with a message.
//
// # What it costs
//
// A plan of 65 types takes about 5 KB, one of 300 types 25. While parts are being finished, the fleet writes the
// ConfigMap at most twice a second, each member at most once a second. While a long part is under way, it writes
// every 5 s. If each member's share of an operation takes less than a second, the operation costs one write of
// each member and two more.
//
// If a member does not understand a key, because it is broken or of a later version, the log names the key once.
// The member leaves the key alone.
//
// [Engine.Run] blocks and owns all goroutines. [Engine.Start] and [Engine.Wait] block; all other methods only
// take a lock. All methods are safe for concurrent use. [Plan] is pure.
package operations
