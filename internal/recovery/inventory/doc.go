// Package inventory keeps a list of every known object in a file, so that a deletion is found that happened while no
// replica ran and that the API server no longer remembers: what the file names and a complete list lacks was deleted.
//
// The file is a snapshot of the index. It says of each type up to which version it is complete, and names its objects:
//
//	header    k8s-vectordb-sync-inventory/0001 and a line feed
//	sections  for each type its names, ascending, each as what differs from the one before, deflated
//	table     JSON: cluster, ring, time of writing; each type with version, count and place of its section
//	footer    offset of the table (8 bytes), xxhash64 of all before (8 bytes), both big-endian
//
// [Write] replaces the file as a whole: a new one is written beside it, synced, and renamed over it. [Open] reads the
// file twice, once for its checksum and once to parse every name, before it hands out anything; whatever is
// damaged, cut, longer than it says, of another cluster or ring, or of another format is refused as a whole,
// with an error that can be told by type. What it allocates does not depend on what the file claims.
//
// [Judge] is the rule by which deletions are inferred, a pure function. It holds back more than a tenth of a type (see
// package guard) until it is forced, and says nothing where the type has no complete list. Versions that are above
// those of the API server mean that its database was restored ([ErrBackwards]). What the inventory knew and a
// complete list lacks is then a guarded repair all the same ([View.Lost]).
//
// A [Writer] writes the file while the process lives. It carries the names of an earlier inventory on until it is told
// that they were looked for ([Writer.Settle]): a type that cannot be listed today, or a deletion that waits for a
// person, is not forgotten by the next write or the next life.
//
// Memory: writing allocates 1.3 MB in all, whatever the number of objects, most of it the deflater's tables; reading
// 0.2 MB. A million objects are 4.5 MB on disk, written in 0.2 s. The standard library's deflate is used because it is
// in the program anyway; zstd would add its code and megabytes of windows.
//
// All functions block for the disk. An [Inventory] and a [Writer] are safe for concurrent use; one process writes to a
// directory at a time.
package inventory
