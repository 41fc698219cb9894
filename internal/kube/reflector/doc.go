// Package reflector sets up client-go Reflectors the way this project runs them: quiet, retried within half a minute,
// ended at once, and held to one clock of silence. The Reflector itself is client-go's, unmodified.
//
// What stands between a Reflector and the API server is here, for every watch of the process:
//
//   - [Stream] ends a watch that has brought neither event nor bookmark for [Silence], and a streamed list that is not
//     over after [ListWithin], which then gives way to a paged one;
//   - [Resume] notices that versions have begun anew: etcd was restored, or an aggregated API was started again;
//   - [Guard] is both of them for the few objects that this process coordinates itself by. The watches of objects have
//     their own account of what comes, in package watch, and use the same two;
//   - [Requests] lets the runner of a Reflector wait for the requests that it leaves behind.
//
// Nothing here blocks but [Guard.Run] and [Requests.End], and everything is safe for concurrent use.
package reflector
