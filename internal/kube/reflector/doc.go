// Package reflector lists and watches by this project's rules: little in the log, retries within half a minute,
// an immediate end, one clock of silence. client-go's unmodified Reflectors take the lists.
//
// This package stands between a store and the API server, for every watch of the process:
//
//   - [Follower] lets a Reflector list, and then follows the stream without one. It is for the thousand types
//     whose objects are synced, and which rest most of the time;
//   - [Reach] shortens the pauses of Followers once the API server answers again after an outage;
//   - [Stream] ends a watch that has brought neither event nor bookmark for [Silence]. It ends a streamed list
//     that is not over after [ListWithin], and a paged list follows;
//   - [Resume] notices that versions have begun anew, because etcd was restored or an aggregated API was started
//     again;
//   - [Guard] combines Stream and Resume for the few objects by which the members coordinate themselves. Package
//     watch uses the same two for the synced objects, and counts events of its own;
//   - [Requests] lets the caller of a Reflector wait for the requests that the Reflector leaves behind.
//
// Only [Follower.Run], [Guard.Run], [Stream.Next] and [Requests.End] block. All types but Stream are safe for
// concurrent use: one goroutine takes the events of a Stream, and any may stop it.
package reflector
