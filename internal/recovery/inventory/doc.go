// Package inventory keeps a list of every known object in a file. By this list a replica finds deletions that
// happened while no replica ran, and that the API server no longer remembers: an object that the file names and a
// complete list lacks was deleted.
//
// The file is a snapshot of the index. For each type it says up to which version it is complete, and names its
// objects:
//
//	header    k8s-vectordb-sync-inventory/0001 and a line feed
//	sections  for each type its names, ascending, each as what differs from the one before, deflated
//	table     JSON: cluster, ring, time of writing; each type with version, count and place of its section
//	footer    offset of the table (8 bytes), xxhash64 of all before (8 bytes), both big-endian
//
// [Write] replaces the file as a whole: it writes a new file beside the old one, syncs it, and renames it over
// the old one. [Open] reads the file twice, once for its checksum and once to parse every name, before it returns
// anything. It refuses a file as a whole, with a typed error, if the file is damaged, cut, longer than it says,
// of another cluster or ring, or of another format. Its allocations do not depend on what the file claims.
//
// [Judge] is the rule by which deletions are inferred, a pure function. It holds back more than a tenth of a type
// (see package guard) until a person forces the repair, and says nothing where the type has no complete list.
// Versions above those of the API server mean that etcd was restored ([ErrBackwards]). Even then, names in the
// inventory that a complete list lacks are a guarded repair ([View.Lost]).
//
// A [Writer] writes the file while the process lives. It keeps the names of an earlier inventory until
// [Writer.Settle] tells it that they were searched. So a type that cannot be listed today, or a deletion that
// waits for a person, survives the next write and the next process.
//
// Memory: writing allocates 1.3 MB in all, whatever the number of objects, most of it the deflater's tables;
// reading allocates 0.2 MB. A million objects take 4.5 MB on disk, written in 0.2 s. The package uses the
// standard library's deflate because it is in the program anyway; zstd would add its code and megabytes of
// windows.
//
// All functions block for the disk. An [Inventory] and a [Writer] are safe for concurrent use; one process writes to a
// directory at a time.
package inventory
