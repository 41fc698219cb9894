// Package delivery sends one body to one receiver, reports the outcome, and decides when the next body may go.
//
// A [Client] makes one attempt per call of [Client.Send] and never repeats one. A body that was not delivered
// must be built again from the current state, and only the caller knows that state. The client is exact about two
// things:
//
//   - the fence: Options.BeforeWrite is asked before a request is begun and again before each write to its connection,
//     so a process that was stopped and continued in the middle of the send path begins nothing;
//   - what is surely not sent: until the client has handed the first byte of a request to the operating system,
//     an error is [wire.Retry] or [wire.Fenced]. From then on, every result that is not an answer is
//     [wire.Unknown].
//
// The client speaks HTTP/1.1 only, because there a connection carries one request at a time and its bytes can be
// counted.
//
// A [Breaker] is the receiver's health as this member sees it, a pure value with now as an argument. It has three
// circuits: one for upserts, one for deletes, and one for the receiver as a whole. Closed is well, open is
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
// A failure is every outcome except those for which [wire.Kind.ReceiverUp] holds. Some failures may be chance or
// the fault of one body, so only a row of them without a passing request opens a circuit. A pause that the
// receiver asks for, a 429, a refused credential and a wrong endpoint open it at once. Requests that were begun
// before a circuit opened may go on beside the probe, and their outcomes do not change the circuit.
//
// The package neither holds a queue nor starts a timer; package pipeline does both. A Client is safe for
// concurrent use and blocks in Send and Probe; a Breaker has no lock and does not block.
package delivery
