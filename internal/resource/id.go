package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// ClusterNamespace stands for the namespace of cluster-scoped objects in an [ID]. A leading underscore is not
// allowed in the name of a namespace, so no real one can collide with it.
const ClusterNamespace = "_cluster"

// ID identifies one object for ever and everywhere: namespace/apiVersion/Kind/name. It holds no UID, so that an
// object deleted and created again under the same name keeps its ID, hence its owner and its order of delivery.
type ID string

// Hash returns the xxhash64 of the ID, by which checkpoints name it and first syncs are ordered.
func (id ID) Hash() uint64 { return xxhash.Sum64String(string(id)) }

// Short is the upper half of [ID.Hash], which gives the same order.
func (id ID) Short() uint32 { return uint32(id.Hash() >> 32) }

// HashOrder returns the positions 0 to n-1 in the order of their hashes, and calls hash once for each position.
// First lists, and objects that a member takes over, are sent in the order of [ID.Hash]. So a checkpoint that
// cannot name the remaining objects says by one hash how far the list has come. HashOrder allocates 16 bytes a
// position.
func HashOrder(n int, hash func(i int) uint64) []int {
	hashes, positions := make([]uint64, n), make([]int, n)
	for i := range n {
		hashes[i], positions[i] = hash(i), i
	}
	slices.SortFunc(positions, func(a, b int) int { return cmp.Compare(hashes[a], hashes[b]) })
	return positions
}

// Parts are the four components of an [ID].
type Parts struct {
	// Namespace is the object's namespace, or [ClusterNamespace].
	Namespace string
	// APIVersion is group/version, or version for the core group.
	APIVersion string
	// Kind is the kind as objects carry it.
	Kind string
	// Name is the object's name.
	Name string
}

// ID joins the parts again. For parts that [ParseID] returned, the result equals the parsed text.
func (p Parts) ID() ID {
	return ID(p.Namespace + "/" + p.APIVersion + "/" + p.Kind + "/" + p.Name)
}

// ParseID splits an ID into its parts. It fails if s does not have four components (five with an API group), or if
// one of them is empty.
func ParseID(s string) (Parts, error) {
	f := strings.Split(s, "/")
	if slices.Contains(f, "") {
		return Parts{}, fmt.Errorf("resource ID %q has an empty component, want namespace/apiVersion/Kind/name such as default/apps/v1/Deployment/nginx", s)
	}
	switch len(f) {
	case 4:
		return Parts{Namespace: f[0], APIVersion: f[1], Kind: f[2], Name: f[3]}, nil
	case 5:
		return Parts{Namespace: f[0], APIVersion: f[1] + "/" + f[2], Kind: f[3], Name: f[4]}, nil
	default:
		return Parts{}, fmt.Errorf("resource ID %q has %d components, want namespace/apiVersion/Kind/name such as default/apps/v1/Deployment/nginx or _cluster/v1/Namespace/default", s, len(f))
	}
}
