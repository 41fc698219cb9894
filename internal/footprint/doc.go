// Package footprint keeps the memory of the process small. The collector runs early while the cluster is read, and
// earlier still at rest; what a replica at rest leaves behind is given back.
//
//	Starting ──everything has been read──▶ Resting ──every 10 s, if it is worth it──▶ memory is given back
//
// [Tidy] blocks until its context ends; the rest does not block.
package footprint
