// Package capabilities tells a newer cluster-whisperer the names of CustomResourceDefinitions, so that it can work
// out the purpose of each: POST /api/v1/capabilities/scan with the names that were added and removed.
//
// A scan is expensive. For each name the receiver runs kubectl twice, and answers no other request meanwhile. Then
// it asks a language model, again for a name that it receives twice. And it answers before it does any work. Hence
//
//   - one request at a time, of five names at most; before the first and after each, a pause as long as the
//     receiver is likely to need;
//   - each definition once: a [Store] records what was scanned, with an identity that distinguishes a definition
//     that was deleted and created again;
//   - one member of the fleet sends, the one for which Leader holds;
//   - nothing before the instances are in step, and never in the way of their delivery: the scanner has its own
//     connections and its own breaker.
//
// The scanner records a scan before it sends the request, and again after the receiver has accepted it. So a
// definition may be scanned twice (after a crash in between, or a lost answer), and none is left out. When a
// definition is removed later, the scanner reports that even if it cannot know whether the name ever arrived.
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
// The scanner repeats a request of several names that is refused (400) name by name, so that a bad name does not
// hold up the others.
//
// Only [Scanner.Run] blocks. [Scanner.Wake] may be called from any goroutine. The rest is pure.
package capabilities
