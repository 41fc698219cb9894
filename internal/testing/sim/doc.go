// Package sim is one virtual cluster for all models of a fleet: an API server, a receiver, and members between them,
// in virtual time. What passes between the members is real, and comes with the [Peer] that a test gives: pipelines,
// checkpoints, searches for missed deletions, senders of resyncs. Verifiers are made here.
//
//	API server ──watches, which lag or lose──▶ Peer's index ─▶ Peer ──▶ receiver, which refuses, hangs or is late
//	    ▲  lists, history                         ▲    │
//	    └─────────────────────────────────────────┼────┘
//	ring: who has joined, what is taken ──lose, drain, publish, gain──┘
//
// [Storm] is a minute of what chance brings; its seed names it. [Scenario] plays a file: what happens is written
// there, and what the receiver gets. [HandOver] and [History] are parts of the world for a test that has the rest.
//
// A world lives in a bubble of [testing/synctest], which its caller makes, and one goroutine drives it. World.mu is
// held for no call of a peer.
package sim
