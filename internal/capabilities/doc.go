// Package capabilities tells a newer cluster-whisperer which CustomResourceDefinitions there are, so that it can work
// out what each is good for: POST /api/v1/capabilities/scan with names that were added and removed.
//
// A scan is dear: for each name the receiver runs kubectl twice, during which it answers nobody, and then
// asks a language model, again and again for a name that it is sent twice. And its answer comes before any
// work is done. Hence
//
//   - one request at a time, of five names at most, and after each, and before the first, a pause as long as the
//     receiver is likely to need;
//   - each definition once: what was scanned is written down in a [Store], with an identity by which a definition that
//     was deleted and created again is known for another one;
//   - one member of the fleet does it, the one for which Leader holds;
//   - nothing before the instances are in step, and never in the way of their delivery: it has connections and a
//     breaker of its own.
//
// What is begun is written down before it is sent, and what is accepted afterwards. So a definition may be
// scanned twice (a crash in between, an answer that got lost), and none is left out; one that is removed
// later is taken back even if nobody knows whether it ever arrived.
//
// The state of one name:
//
//	            10 s old              sent                    202
//	new ──────────────────▶ waiting ───────▶ begun ("" stored) ───▶ scanned (identity stored)
//	                           ▲              │  │                        │
//	                           └──────────────┘  └── 400, alone ──▶ refused, until it changes
//	                     429, 5xx, no answer                              │
//	 a definition that is gone: its name is sent as removed, then forgotten ◀┘
//
// A request of several names that is refused (400) is repeated name by name, so that one of them holds up no other.
//
// [Scanner.Run] is the only thing that blocks. [Scanner.Wake] may be called from anywhere. The rest is pure.
package capabilities
