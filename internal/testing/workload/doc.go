// Package workload fills an API server with a realistic cluster, changes it at random, and says which documents a
// receiver must hold of it.
//
//	Options ─▶ Plan ─▶ Apply ─▶ Cluster ─▶ Churn ─▶ []Change          the cluster and its history
//	                                         │
//	List ─▶ map[resource.ID]Doc ─▶ Compare ◀─┴─ what the receiver holds  ─▶ Diff
//
// [Plan] is pure: one seed makes one list of objects on every machine. [Apply] creates them. [Cluster.Churn] makes
// seeded changes: labels, descriptions, deletions, creations, objects recreated under their name, labels changed
// there and back, status written, finalizers waited for. [Demo] is a smaller cluster that a person can read.
//
// [List] is the oracle. It uses only discovery and lists of client-go, and decides by its own code which
// annotations are kept and where they are cut, so that it does not share a fault of the product.
//
// Every function that talks to an API server blocks until it is done and ends with its context. Functions are safe
// for concurrent use; a [Cluster] serves one Churn at a time.
package workload
