// Package watch follows the metadata of every object of a changing set of resource types, and reports it to a
// [Sink], type by type.
//
// Each type has one [reflector.Follower] over the metadata client: PartialObjectMetadata as protobuf, streamed
// lists (WatchList) where the server has them, and paged consistent lists elsewhere. Each object becomes a
// [resource.Record] before it is stored anywhere. So a start holds managedFields and kubectl's
// last-applied-configuration of one object at a time. Filters apply to the results, never inside the requests: a
// filter that loses a bookmark or a continue token loses objects.
//
// Every type has a state of its own. A type waits for others only until its turn to start:
//
//	┌─────────┐ slot free ┌─────────┐ complete list ┌────────┐
//	│ Waiting │──────────▶│ Listing │──────────────▶│ Synced │
//	└─────────┘           └─────────┘               └────────┘
//	                           │ error, or              │  ▲
//	                           │ no answer in 10 s      │  │ complete list, or
//	                           ▼                  error │  │ the watch goes on
//	                      ┌─────────┐                   │  │
//	                      │ Failing │◀──────────────────┘  │
//	                      │         │──────────────────────┘
//	                      └─────────┘
//	                                           ┌─────────┐
//	     from any state, when not wanted any   │ Stopped │
//	     more, or when Run is ending ─────────▶└─────────┘
//
// A type that is read by namespace ([resource.Type.In]) counts as one type for each namespace. Each has a list
// and a stream with versions of its own. Where only namespaces may be read, a type that is in no namespace is
// left out: it is Unreadable in place of Failing. A refused request is not repeated before the API server says
// that it is allowed (rights.go).
//
// A start slot is given back at the first complete list, at the first error, or after [Options.StartTimeout]. A
// failing type is tried again within 30 s for as long as it is wanted. If the API server could not be reached,
// the type is tried again soon after the server answers another type ([reflector.Reach]). While a type fails,
// and when it stops, the Sink gets no call, because an object that could not be read need not be gone.
//
// A watch that has brought neither event nor bookmark for [Options.StaleAfter] is ended and begun again from its
// last version, without a list. The same happens to a request without an answer. API servers send a bookmark
// about every minute.
//
// [Manager.Relist] is the one repair of a watch that has lost events: a new Follower lists consistently, and the
// Sink's Replace finds the differences.
//
// A [Manager] is safe for concurrent use. Only [Manager.Run], [Manager.Relist] and [Manager.WaitStopped] block;
// The Sink is called from one goroutine for each type. A slow Sink holds up only that type's watch, which then
// reads more slowly from the API server; nothing is buffered.
//
// The package does not know which member owns an object, which objects were sent, or which types exist. It keeps
// no object.
package watch
