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
	// Within is the namespace of a slice, for a type that is read namespace by namespace; empty means all namespaces.
	// The replica treats each such slice as a type of its own: its lists have their own versions, and its streams
	// their own order.
	Within string
}

// withinMark stands between the name of a type and the namespace of a slice. Neither name contains it.
const withinMark = "@"

// In returns the slice of a namespaced type that is in one namespace.
func (t Type) In(namespace string) Type {
	t.Within = namespace
	return t
}

// Whole returns the type of which this is a slice, or the type itself if it is whole.
func (t Type) Whole() Type {
	t.Within = ""
	return t
}

// WholeName splits a name, as [Type.String] returns it, into the name of the whole type and the namespace of the
// slice.
func WholeName(name string) (whole, namespace string) {
	whole, namespace, _ = strings.Cut(name, withinMark)
	return whole, namespace
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

// String returns the fully qualified name, as kubectl spells it: deployments.v1.apps, or pods.v1. The name of a
// slice has the namespace behind it: pods.v1@team-a.
func (t Type) String() string {
	switch {
	case t.Within != "":
		return t.Whole().String() + withinMark + t.Within
	case t.Group == "":
		return t.Resource + "." + t.Version
	default:
		return t.Resource + "." + t.Version + "." + t.Group
	}
}

// ParseType reads the text of [Type.String], which does not hold the kind.
func ParseType(name string) (Type, bool) {
	whole, within := WholeName(name)
	plural, rest, ok := strings.Cut(whole, ".")
	version, group, _ := strings.Cut(rest, ".")
	t := Type{Group: group, Version: version, Resource: plural, Namespaced: within != "", Within: within}
	return t, ok && plural != "" && version != "" && !strings.Contains(within, withinMark) && t.String() == name
}

// GVR returns the type as the clients of Kubernetes name it.
func (t Type) GVR() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: t.Group, Version: t.Version, Resource: t.Resource}
}

// ID returns the ID of the object of this type with that namespace and name. For a cluster-scoped type the namespace
// is ignored.
func (t Type) ID(namespace, name string) ID {
	var room [128]byte // enough for most IDs; longer ones cost another allocation
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

// CompareTypes orders types by group, resource, version and slice, so that lists of types are the same on
// every replica.
func CompareTypes(a, b Type) int {
	return cmp.Or(
		strings.Compare(a.Group, b.Group),
		strings.Compare(a.Resource, b.Resource),
		strings.Compare(a.Version, b.Version),
		strings.Compare(a.Within, b.Within),
	)
}
