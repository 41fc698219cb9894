package ring

import (
	"fmt"
	"slices"

	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
)

// MaxMembers is how many members a ring may have. At 500 a member still owns 8 of the default format's partitions.
const MaxMembers = 500

// Ring gives every partition an owner. Create it with [New]; it is immutable and safe for concurrent use.
type Ring struct {
	format  Format
	members []string // sorted
	owners  []uint16 // by partition: the owner's index in members
	shares  []int    // by index in members: how many partitions it owns
}

// New builds the ring of the members, whose order means nothing. It fails when the format is invalid, when there
// are no members or more than [MaxMembers], and when a name is empty or appears twice. It never panics, and it
// does not keep the slice. The package documentation says how long it takes.
func New(members []string, f Format) (r *Ring, err error) {
	if err := f.Validate(); err != nil {
		return nil, fmt.Errorf("building a ring: %w", err)
	}
	if len(members) == 0 || len(members) > MaxMembers {
		return nil, fmt.Errorf("building a ring: %d members, want 1 to %d", len(members), MaxMembers)
	}
	sorted := slices.Sorted(slices.Values(members))
	for i, m := range sorted {
		if m == "" {
			return nil, fmt.Errorf("building a ring: a member's name is empty, want the name of a pod")
		}
		if i > 0 && m == sorted[i-1] {
			return nil, fmt.Errorf("building a ring: member %q appears twice, want each name once", m)
		}
	}
	defer func() {
		// The library panics when the members have no room for all partitions. Validate rules that out. But a ring is
		// built from data that other processes wrote, and such data must not end this process.
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("building a ring of %d members: %v", len(members), p)
		}
	}()
	return distribute(sorted, f)
}

// distribute asks the library which member owns which partition, and keeps only the answer.
func distribute(sorted []string, f Format) (*Ring, error) {
	nodes := make([]consistent.Member, len(sorted))
	for i, m := range sorted {
		nodes[i] = node{name: m, index: uint16(i)} // MaxMembers is below 2^16.
	}
	c := consistent.New(nodes, consistent.Config{
		Hasher:            hasher{},
		PartitionCount:    f.Partitions,
		ReplicationFactor: f.Replicas,
		Load:              f.Load,
	})
	r := &Ring{format: f, members: sorted, owners: make([]uint16, f.Partitions), shares: make([]int, len(sorted))}
	for p := range r.owners {
		n, ok := c.GetPartitionOwner(p).(node)
		if !ok {
			return nil, fmt.Errorf("building a ring of %d members: partition %d was given to nobody", len(sorted), p)
		}
		r.owners[p] = n.index
		r.shares[n.index]++
	}
	return r, nil
}

// Format returns the format that the ring was built with.
func (r *Ring) Format() Format { return r.format }

// Members returns the members, sorted. The slice is the caller's own.
func (r *Ring) Members() []string { return slices.Clone(r.members) }

// Owner returns the member that owns the partition, and "" for a partition that does not exist.
func (r *Ring) Owner(partition int) string {
	if partition < 0 || partition >= len(r.owners) {
		return ""
	}
	return r.members[r.owners[partition]]
}

// Partition returns the partition of a key; see [Format.Partition].
func (r *Ring) Partition(key string) int { return r.format.Partition(key) }

// Share returns the number of partitions that the member owns, 0 for a member that is not in the ring.
func (r *Ring) Share(member string) int {
	i, ok := slices.BinarySearch(r.members, member)
	if !ok {
		return 0
	}
	return r.shares[i]
}

// Partitions returns the partitions that the member owns, ascending; none for a member that is not in the ring.
// The slice is the caller's own.
func (r *Ring) Partitions(member string) []int {
	i, ok := slices.BinarySearch(r.members, member)
	if !ok {
		return nil
	}
	owned := make([]int, 0, r.shares[i])
	for p, owner := range r.owners {
		if int(owner) == i {
			owned = append(owned, p)
		}
	}
	return owned
}

// node is a member in the form that the library wants.
type node struct {
	name  string
	index uint16
}

// String returns the name by which the library places members and tells them apart.
func (n node) String() string { return n.name }

// hasher gives the library xxhash64.
type hasher struct{}

// Sum64 hashes b.
func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
