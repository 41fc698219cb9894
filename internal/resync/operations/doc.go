// Package operations shares out resyncs over the members of a ring. An operation is planned once, by the
// member that was asked; each member sends the parts that are its own, and every member knows how far all
// are.
//
// It decides who sends what again, and writes down what is done. How a part is sent is the business of the
// [Runner], what there is to send that of the [Catalog], who is a member that of the [Fleet].
//
// # What is written down
//
// One ConfigMap for each ring holds all operations, and each member follows it by one watch:
//
//	op.<id>            the plan: request, members, parts with assignees. Written by the member that was asked.
//	run.<id>.<member>  what one member has done of it. Written by that member.
//	last               when the last full operation ended, so that the schedule outlives everybody.
//
// Every write is an update under the version that was read, and is tried again on a conflict. That alone
// makes two equal requests to two members one operation.
//
//	                 all parts are marked done        a member closes it
//	op, no runs ──▶ op and runs ──────────────────▶ done ─────────────▶ op with its result, no parts, no runs
//	      └──▶ the member that was asked for its own share is gone for too long ──▶ failed ──┘
//
// Nobody coordinates: that an operation is done follows from the marks, and everybody sees it at once. To close it is
// housekeeping, which the ring gives to one member; it takes the parts away, since an operation that has
// ended needs to be neither run nor shared out. Ten that have ended are kept.
//
// # Who runs a part
//
// The first of these that is in the view of live members: the member that says that it is running the part,
// the assignee, the owner of the part's key in a ring of the view. All compute that from the same data, so a
// member that dies is replaced without a word, and one that comes back under its name goes on with what is
// left. Where two see different data for a moment, a part is sent twice, which costs something and harms
// nothing.
//
// An operation with force has a part for each member besides: only the member itself knows what it holds back.
//
// A member runs one part after another, those of small operations before those of full ones. A part that a Runner gives
// up is not tried again: it counts as done, with a message.
//
// # What it costs
//
// A plan of 65 types takes about 5 KB, one of 300 types 25. While parts are being finished, the fleet writes
// the ConfigMap twice a second at most, each member once a second at most; while a long one is under way,
// every 5 s. An operation whose share of a member takes less than a second costs one write of each member and
// two more.
//
// A key that is not understood, be it broken or of a later version, is named in the log once and otherwise left alone.
//
// [Engine.Run] blocks and owns all goroutines. [Engine.Start] and [Engine.Wait] block; everything else only takes a
// lock. All methods are safe for concurrent use. [Plan] is pure.
package operations
