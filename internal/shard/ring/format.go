package ring

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

// Algorithm names what this package computes: consistent hashing with bounded loads as buraksezer/consistent v1
// does it, over xxhash64. It must change whenever any owner would change. v0.10 of that library places its
// virtual nodes elsewhere: two replicas with the two versions would both be sure that they own the same
// partition.
const Algorithm = "consistent1-xxh64"

// These bounds of the parameters keep mistakes out, not experiments.
const (
	minPartitions, maxPartitions = 64, 65521
	minReplicas, maxReplicas     = 10, 2000
	minLoad, maxLoad             = 1.01, 2.0
)

// Format holds all parameters that determine an owner, except the members. Every Lease carries it as a string;
// members of two formats never form one ring. The zero Format is invalid; use [DefaultFormat].
type Format struct {
	// Algorithm is [Algorithm]. A Lease may carry another one, from which this package builds no ring.
	Algorithm string
	// Partitions is the number of partitions, 64 to 65521. It should be a prime number, far above the number of
	// members.
	Partitions int
	// Replicas is the number of virtual nodes of each member, 10 to 2000.
	Replicas int
	// Load is the factor by which the largest share may exceed the mean, from 1.01 to 2: 1.05 allows 5 %.
	Load float64
}

// DefaultFormat is the format that replicas run with. Over 20 rings each, a join moves 25.5 % of the partitions
// from 3 to 4 members (ideal: 25.0 %). It moves 9.5 % from 10 to 11 (9.1 %) and 2.6 % from 50 to 51 (2.0 %). The
// largest share is 1.05 of the mean. 100 virtual nodes move up to 5 points more than ideal; a load of 1.10 moves
// less and makes the shares less equal.
func DefaultFormat() Format {
	return Format{Algorithm: Algorithm, Partitions: 4093, Replicas: 400, Load: 1.05}
}

// Validate names every fault of the format, and returns nil when a ring can be built from it.
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
	if !(f.Load >= minLoad && f.Load <= maxLoad) { // The condition is written so that NaN is refused.
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

// Partition returns the partition that the key belongs to, from 0 to Partitions-1: its xxhash64 modulo the number
// of partitions. Every ring of this format has the same, whatever its members are. Partition does not allocate.
// The format must be valid.
func (f Format) Partition(key string) int {
	return f.PartitionOf(xxhash.Sum64String(key))
}

// PartitionOf is Partition for the xxhash64 of a key.
func (f Format) PartitionOf(hash uint64) int {
	return int(hash % uint64(f.Partitions)) // Partitions is positive and below 2^16.
}
