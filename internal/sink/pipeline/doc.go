// Package pipeline brings one target to the state of the cluster and keeps it there. It decides which objects are
// due, puts them into batches, and hands the batches to a [Sender]. It forgets an object only when the receiver
// has acknowledged that very state of it.
//
// There is no queue of events. An unacknowledged change is an item in a map, keyed by ID, that always holds the
// newest state. A second change of a waiting object overwrites the first. Whatever the receiver does, memory is
// bounded by the number of objects that differ. Above [Options.MaxBodyBytes] an item drops its body, which the
// filler reads again from the API server when there is room ([Pipeline.Evicted], [Pipeline.Fill]).
//
// An item is in one place at a time:
//
//	         upsert                 quiet              room in a batch
//	change ─────────▶ waiting ────────────────▶ live ─────────────────▶ in flight ──2xx──▶ forgotten
//	   │    delete                                ▲                      │      │
//	   ├─────────────────────────────▶ deletes ───┼──────────────────────┤      ├─ try again ──▶ where it was
//	   │    first list, resync                    │                      │      ├─ 5xx, timeout ▶ suspected
//	   ├─────────────────────────────▶ bulk ──────┘                      │      ├─ refused ────▶ quarantined
//	   │    not ours                                                     │      └─ unknown ────▶ sent again now,
//	   ├─────────────────────────────▶ parked                            │                       and later
//	   │    no memory for the body                                       │
//	   └─────────────────────────────▶ evicted                           └─ changed meanwhile ─▶ waiting or deletes
//
// At most one request holds an ID at any time, and the pipeline builds a request from the state at the moment of
// sending. So a receiver never sees an older state of an object after a newer one. Deletes, live changes, items
// that failed before and bulk traffic go in this order, but every second or third request goes to the next lower
// class. Batches shrink while they fail and grow while they pass ([batchSize]). The pipeline tries failed items
// again apart from the others, and halves their batch until the poison object is alone. It quarantines, counts
// and names that object. It tries the object again when it changes, at a resync, and, where the receiver's answer
// leaves doubt, from time to time.
//
// The receiver may still apply a request whose outcome is unknown, much later than a newer one. The pipeline
// sends the current state of its objects again at once, and repeats it as the last word after the receiver's
// settle time; see [Options.Settle].
//
// [Pipeline.Apply] does not block. [Pipeline.Run] blocks until its context ends and all its senders have returned.
// All methods are safe for concurrent use. The package knows neither HTTP nor Kubernetes.
package pipeline
