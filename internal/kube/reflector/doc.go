// Package reflector lists and watches the way this project does: quiet, retried within half a minute, ended at once,
// and held to one clock of silence. Reflectors take the lists, client-go's and unmodified.
//
// This package stands between a store and the API server, for every watch of the process:
//
//   - [Follower] lets a Reflector list, and then follows the stream without one. It is for the thousand types
//     whose objects are synced, and which are at rest most of the time;
//   - [Reach] shortens the pauses of Followers once the API server answers again after an outage;
//   - [Stream] ends a watch that has brought neither event nor bookmark for [Silence], and a streamed list that is not
//     over after [ListWithin], which then gives way to a paged one;
//   - [Resume] notices that versions have begun anew: etcd was restored, or an aggregated API was started again;
//   - [Guard] is both of them for the few objects by which the members coordinate themselves. The watches of
//     objects count their own events, in package watch, and use the same two;
//   - [Requests] lets the runner of a Reflector wait for the requests that it leaves behind.
//
// Nothing here blocks but [Follower.Run], [Guard.Run], [Stream.Next] and [Requests.End]. Everything is safe for
// concurrent use but a Stream, whose events one goroutine takes, and which any may stop.
package reflector
