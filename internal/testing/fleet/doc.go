// Package fleet runs replicas of the real program as processes against a real API server, with the reference
// receiver inside the test. It tells whether the receiver equals the cluster.
//
// A [Rig] is one control plane with one receiver; [Rig.Start] adds a replica, which a test may kill, pause, stop
// and start again. [Rig.WaitEqual] is the oracle: it lists the API server, reads the receiver, and demands
// equality by ID and content. [Unexplained] finds needless upserts and deletions. The program is built once per
// test process, unless K8S_VECTORDB_SYNC_BINARY names one.
//
// Subtests share a rig and a replica by [Rig.In] and [Replica.In]. A process ends with the test, or subtest, that
// started it. The methods block until their effect has happened. Several goroutines may call those of one Rig,
// except those that fail the test.
package fleet
