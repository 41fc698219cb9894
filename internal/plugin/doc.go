// Package plugin is kubectl vectordb-sync: it asks every replica of a release for its status, its ring and its
// owners. It says in plain words what is wrong, and starts resyncs and follows them.
//
//	kubeconfig ─▶ find: pods of one release ─▶ forward: streams through the API server ─┐
//	--api URLs ─────────────────────────────────────────────────────────────────────────┴─▶ client ─▶ merge ─▶ print
//
// The plugin has no view of its own: it shows the answers of the replicas side by side. It says where they differ,
// because its user wants to know that. A replica that does not answer has a row like the others.
//
// No local port is opened: a connection to a replica is a pair of streams in a connection to the API server. That is a
// WebSocket where the API server speaks it, and SPDY where it does not.
//
// Ages are by the clock of the replica that answers. The clock of the machine on which the command runs may be
// wrong, so the plugin never uses it for ages.
//
// [Main] is the whole command. It blocks until the command is done or its context ends, and ends every goroutine
// that it started. The package is not a part of the controller, and the controller must not import it: its
// dependencies would cost memory in every replica.
package plugin
