// Package watch follows the metadata of every object of a changing set of resource types and reports it, type by type,
// to a [Sink].
//
// Each type has one [reflector.Follower] over the metadata client: PartialObjectMetadata as protobuf, streamed lists
// (WatchList) where the server has them, paged consistent lists where it has not. What its Reflector
// receives becomes a [resource.Record] before it is stored anywhere, so that a start holds neither managedFields nor
// kubectl's last-applied-configuration of more than the object in hand. Filters sit behind it, never in
// its requests: a filter that loses a bookmark or a continue token loses objects.
//
// Every type has a state of its own, and none waits for another beyond its turn to start:
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
// A type that is read by namespace ([resource.Type.In]) is as many types as there are namespaces: each has a list and a
// stream with versions of its own. One that is in no namespace, where namespaces are all there is to be read, is left
// out: Unreadable in the place of Failing. What was refused is not tried again before the API
// server says that it may be (rights.go).
//
// A start slot is given back at the first complete list, at the first error, or after [Options.StartTimeout]. A type
// that fails is tried again within 30 s for as long as it is wanted. If the API server could not be reached, it is
// tried again soon after another type is answered ([reflector.Reach]). While it fails, and when it stops, the
// Sink is told nothing: that something could not be read is no evidence that it is gone.
//
// A watch that has brought neither event nor bookmark for [Options.StaleAfter] is ended and begun again from its last
// version, without a list; so is a request that is not answered at all. API servers send a bookmark about every minute.
//
// [Manager.Relist] is the one repair of a watch that has lost events: a new Follower lists consistently, and
// the Sink's Replace finds what differs.
//
// A [Manager] is safe for concurrent use. Only [Manager.Run], [Manager.Relist] and [Manager.WaitStopped]
// block; the Sink is called from one goroutine per type, and a Sink that takes its time holds up that type's
// watch and nothing else: the API server is read more slowly, nothing is buffered.
//
// The package does not know who owns an object, what was sent, or which types exist; it keeps no object.
package watch
