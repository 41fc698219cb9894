// Package delivery brings one body to one receiver and says what became of it, and decides when the next may go.
//
// A [Client] makes one attempt per call of [Client.Send] and never repeats one: what was not delivered must be built
// again from the current state, and only the caller knows that. The two things it is exact about are
//
//   - the fence: Options.BeforeWrite is asked before a request is begun and again before each write to its connection,
//     so a process that was stopped and continued in the middle of the send path begins nothing;
//   - what is surely not sent: until the first byte of a request was handed to the operating system, an error is
//     [wire.Retry] or [wire.Fenced]; from then on, whatever is not an answer is [wire.Unknown].
//
// That is why it speaks HTTP/1.1 only, where a connection carries one request at a time and its bytes can be counted.
//
// A [Breaker] is the receiver's health as this member sees it, a pure value with now as an argument: three
// circuits, one for upserts, one for deletes, and one for the receiver as a whole. Closed is well, open is
// trouble:
//
//	       nothing passes                        the probe fails: Next moves on
//	   ┌─────────────────────────────┐        ┌──────────────────────────────┐
//	   │                             ▼        ▼                              │
//	CLOSED                          OPEN ─────────── at Next, one ──────▶ PROBING
//	up to Limit in flight           none begun                            one begun
//	   ▲                                                                     │
//	   └─────────────── an answer that proves the receiver up ───────────────┘
//
// A failure is every outcome but those for which [wire.Kind.ReceiverUp] holds. Some of them may be chance or
// the fault of one body, so it takes a row of them without a request that passes; a pause that the receiver
// asks for, a 429, a refused credential and a wrong endpoint open at once. Requests that were begun before a
// circuit opened may go on beside the probe, and what becomes of them moves nothing.
//
// It neither holds a queue nor starts a timer; package pipeline does both. A Client is safe for concurrent use and
// blocks in Send and Probe; a Breaker is neither locked nor blocking.
package delivery
