// Package ring says which member owns which part of the ID space, as a pure function of the members' names.
//
// The ID space is cut into a fixed number of partitions; the xxhash64 of a key names its partition. A [Ring]
// gives every partition to one member, by consistent hashing with bounded loads. Shares are almost equal, and a
// member that comes or goes moves little more than its own share. Bounded loads also move some partitions between
// the members that stay, so a handoff must expect any partition to move.
//
// Two replicas agree on every owner if and only if they agree on the members and on the [Format]: algorithm,
// partitions, virtual nodes and load. The order of the members does not matter. Rings of two formats have nothing
// in common and are never compared.
//
// The package decides nothing about time or liveness: internal/shard/ownership names the members.
//
// # What it costs
//
// A ring of 10 members takes about 7 ms to build, one of 50 about 70 to 160 ms, one of 100 about 250 ms. The
// library behind it sorts all virtual nodes again for each member it adds, so the cost grows with the square of
// the members. 500 members take 7 s or more; fleets beyond 100 members should run with fewer virtual nodes, at
// some cost in evenness. BenchmarkNew measures the build. A built ring keeps 2 bytes for each partition and
// answers in nanoseconds.
//
// The package is pure and immutable: no clock, no goroutine, no lock. It is safe for concurrent use.
package ring
