// Package footprint keeps the memory of the process small. The garbage collector runs early while the replica
// reads the cluster, and earlier still at rest. At rest, the package returns unused memory to the operating
// system.
//
//	Starting ──everything has been read──▶ Resting ──every 10 s, if it is worth it──▶ memory is given back
//
// [Tidy] blocks until its context ends; the rest does not block.
package footprint
