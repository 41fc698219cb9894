package resource

import (
	"cmp"
	"strings"

	"github.com/cespare/xxhash/v2"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Type is one resource type at one version, with the kind that its objects carry. It is comparable and serves as a
// map key. The zero Type names nothing.
type Type struct {
	// Group is the API group, empty for the core group.
	Group string
	// Version is the API version, such as v1beta1.
	Version string
	// Resource is the plural name in lower case, such as deployments.
	Resource string
	// Kind is the name that objects of this type carry, such as Deployment.
	Kind string
	// Namespaced tells whether objects of this type live in a namespace.
	Namespaced bool
}

// APIVersion returns group/version as objects spell it: apps/v1, or v1 for the core group.
func (t Type) APIVersion() string {
	if t.Group == "" {
		return t.Version
	}
	return t.Group + "/" + t.Version
}

// GroupResource returns the name without the version, as kubectl spells it: deployments.apps, or pods.
func (t Type) GroupResource() string {
	if t.Group == "" {
		return t.Resource
	}
	return t.Resource + "." + t.Group
}

// String returns the fully qualified name, as kubectl spells it: deployments.v1.apps, or pods.v1.
func (t Type) String() string {
	if t.Group == "" {
		return t.Resource + "." + t.Version
	}
	return t.Resource + "." + t.Version + "." + t.Group
}

// GVR returns the type as the clients of Kubernetes name it.
func (t Type) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: t.Group, Version: t.Version, Resource: t.Resource}
}

// ID returns the ID of the object of this type with that namespace and name. For a cluster-scoped type the namespace
// is ignored.
func (t Type) ID(namespace, name string) ID {
	var room [128]byte // of most IDs; longer ones cost another allocation
	return ID(t.appendID(room[:0], namespace, name))
}

// IDHash returns the [ID.Hash] of the ID of that object, without making the ID.
func (t Type) IDHash(namespace, name string) uint64 {
	var room [128]byte
	return xxhash.Sum64(t.appendID(room[:0], namespace, name))
}

func (t Type) appendID(b []byte, namespace, name string) []byte {
	if !t.Namespaced || namespace == "" {
		namespace = ClusterNamespace
	}
	b = append(append(b, namespace...), '/')
	if t.Group != "" {
		b = append(append(b, t.Group...), '/')
	}
	b = append(append(b, t.Version...), '/')
	b = append(append(b, t.Kind...), '/')
	return append(b, name...)
}

// CompareTypes orders types by group, resource and version, so that lists of types are the same on every replica.
func CompareTypes(a, b Type) int {
	return cmp.Or(
		strings.Compare(a.Group, b.Group),
		strings.Compare(a.Resource, b.Resource),
		strings.Compare(a.Version, b.Version),
	)
}
