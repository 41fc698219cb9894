package ring

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Algorithm names what this package computes: consistent hashing with bounded loads as buraksezer/consistent v1 does
// it, over xxhash64. It must change whenever any owner would: v0.10 of that library places its virtual nodes
// elsewhere, so two replicas with the two versions would both be sure that they own the same partition.
const Algorithm = "consistent1-xxh64"

// Bounds of the parameters. They keep mistakes out, not experiments.
const (
	minPartitions, maxPartitions = 64, 65521
	minReplicas, maxReplicas     = 10, 2000
	minLoad, maxLoad             = 1.01, 2.0
)

// Format is everything beside the members that an owner depends on. Every Lease carries it as a string; members of
// two formats never form one ring. The zero Format is invalid; use [DefaultFormat].
type Format struct {
	// Algorithm is [Algorithm]. A Lease may carry another one; no ring can be built from that here.
	Algorithm string
	// Partitions is the number of partitions, 64 to 65521. It should be a prime number and far above the
	// number of members.
	Partitions int
	// Replicas is the number of virtual nodes of each member, 10 to 2000.
	Replicas int
	// Load is how far above the mean the largest share may be: 1.05 allows 5 %. From 1.01 to 2.
	Load float64
}

// DefaultFormat is what replicas run with. Measured over 20 rings each: a join moves 25.5 % of the partitions from 3
// to 4 members (25.0 % would be ideal), 9.5 % from 10 to 11 (9.1 %) and 2.6 % from 50 to 51 (2.0 %), and the largest
// share is 1.05 of the mean. 100 virtual nodes move up to 5 points more than ideal; a load of 1.10 moves less and
// shares worse.
func DefaultFormat() Format {
	return Format{Algorithm: Algorithm, Partitions: 4093, Replicas: 400, Load: 1.05}
}

// Validate says everything that is wrong with the format, nil when a ring can be built from it.
func (f Format) Validate() error {
	var errs []error
	if f.Algorithm != Algorithm {
		errs = append(errs, fmt.Errorf("ring algorithm is %q, want %q", f.Algorithm, Algorithm))
	}
	if f.Partitions < minPartitions || f.Partitions > maxPartitions {
		errs = append(errs, fmt.Errorf("ring has %d partitions, want %d to %d, a prime number such as 4093", f.Partitions, minPartitions, maxPartitions))
	}
	if f.Replicas < minReplicas || f.Replicas > maxReplicas {
		errs = append(errs, fmt.Errorf("ring has %d virtual nodes for each member, want %d to %d, such as 400", f.Replicas, minReplicas, maxReplicas))
	}
	if !(f.Load >= minLoad && f.Load <= maxLoad) { // written so that NaN is refused
		errs = append(errs, fmt.Errorf("ring load is %v, want %v to %v, such as 1.05", f.Load, minLoad, maxLoad))
	}
	return errors.Join(errs...)
}

// String is the format as Leases carry it: algorithm, partitions, virtual nodes and load, such as
// consistent1-xxh64/4093/400/1.05. Two valid formats are equal if and only if their strings are.
func (f Format) String() string {
	return f.Algorithm + "/" + strconv.Itoa(f.Partitions) + "/" + strconv.Itoa(f.Replicas) + "/" +
		strconv.FormatFloat(f.Load, 'f', -1, 64)
}

// Partition returns the partition that the key belongs to, from 0 to Partitions-1: its xxhash64 modulo the number of
// partitions, as every ring of this format has it, whatever its members. It does not allocate. The format must be
// valid.
func (f Format) Partition(key string) int {
	return f.PartitionOf(xxhash.Sum64String(key))
}

// PartitionOf is Partition for the xxhash64 of a key.
func (f Format) PartitionOf(hash uint64) int {
	return int(hash % uint64(f.Partitions)) // Partitions is positive and below 2^16.
}
