// Package sim is one virtual cluster for all models of a fleet: an API server, a receiver, and members between them,
// in virtual time. The [Peer] of a test is real: pipelines, checkpoints, searches for missed deletions, engines
// and senders of resyncs. The package makes the verifiers.
//
//	API server ──watches, which lag or lose──▶ Peer's index ─▶ Peer ──▶ receiver, which refuses, hangs or is late
//	    ▲  lists, history                         ▲    │
//	    └─────────────────────────────────────────┼────┘
//	ring: who has joined, what is taken ──lose, drain, publish, gain──┘
//
// [Storm] is a minute of random events; its seed names it. [Scenario] plays a file that lists the events, and the
// documents that the receiver must get, the lists that the members must make, and what their indexes must know.
// [History] is a part of the world for a test that has the rest.
//
// A world lives in a bubble of [testing/synctest], which its caller makes, and one goroutine drives it. The
// package calls no peer while it holds World.mu.
package sim
