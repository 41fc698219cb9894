// Package plugin is kubectl vectordb-sync: it asks every replica of a release for its status, its ring and its owners,
// says in plain words what is wrong, and starts resyncs and follows them.
//
//	kubeconfig ─▶ find: pods of one release ─▶ forward: streams through the API server ─┐
//	--api URLs ─────────────────────────────────────────────────────────────────────────┴─▶ client ─▶ merge ─▶ print
//
// The plugin has no view of its own: it shows the answers of the replicas side by side. Where they differ it says
// so, because that is what its user wants to know. A replica that does not answer has a row like the others.
//
// No local port is opened: a connection to a replica is a pair of streams in a connection to the API server, which is a
// WebSocket where the API server speaks it, and SPDY where it does not.
//
// Ages are by the clock of the replica that answers. Nothing is subtracted from the clock of the machine on which
// the command runs, which may be wrong.
//
// [Main] is the whole command. It blocks until the command is done or its context ends, and ends what it started. The
// package is not a part of the controller, and the controller must not import it: its dependencies would cost memory
// in every replica.
package plugin
