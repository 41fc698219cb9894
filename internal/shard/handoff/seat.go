package handoff

import (
	"context"
	"fmt"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// Environment is the name of the target that the environment defines.
const Environment = "default"

// Key is the name of a target in the form that Leases, labels and names of objects can hold. It is the name
// itself when that is short and plain, else a hash.
func Key(target string) string {
	if len(target) <= 40 && strings.Trim(target, "abcdefghijklmnopqrstuvwxyz0123456789-.") == "" {
		return target
	}
	return fmt.Sprintf("t-%016x", xxhash.Sum64String(target))
}

// KindOf is how Leases name a target's type. Leases know no slices of it, but ranges of namespaces. So members
// that read a type as a whole and members that read it by namespace understand one another.
func KindOf(target string, t resource.Type) ownership.Kind {
	return ownership.Kind{Target: Key(target), Group: t.Group, Version: t.Version, Resource: t.Resource}
}

// NamespaceOf is the namespace in an ID, as parts name it.
func NamespaceOf(id resource.ID) string {
	namespace, _, _ := strings.Cut(string(id), "/")
	if namespace == resource.ClusterNamespace {
		return ""
	}
	return namespace
}

// Seat is our membership as one target sees it.
type Seat struct {
	*membership.Membership

	target string // its name
}

// NewSeat returns a membership as a target sees it.
func NewSeat(m *membership.Membership, target string) Seat { return Seat{m, target} }

// Kind is how Leases name a type of the target.
func (s Seat) Kind(t resource.Type) ownership.Kind { return KindOf(s.target, t) }

// MaySend tells whether we may send an object to the target.
func (s Seat) MaySend(t resource.Type, id resource.ID) bool {
	return s.MaySendOf(s.Kind(t), NamespaceOf(id), id)
}

// Away tells whether another member has taken an object of ours for a resync.
func (s Seat) Away(t resource.Type, id resource.ID) bool {
	return s.Membership.Away(s.Kind(t), NamespaceOf(id), id)
}

// OwnedSince returns the version of the gain by which an object is ours.
func (s Seat) OwnedSince(t resource.Type, id resource.ID) uint64 {
	return s.Membership.OwnedSince(s.Kind(t), id)
}

// Taken tells whether a resync has taken any part of a type, at this replica or at another one that we yield to.
// A returned part counts until it is ours again.
func (s Seat) Taken(t resource.Type) bool { return s.Owned().Apart(s.Kind(t)) }

// in matches the objects of an area.
func (s Seat) in(a ownership.Area) Match {
	return func(t resource.Type, id resource.ID) bool { return a.Has(s.Kind(t), NamespaceOf(id), s.Partition(id)) }
}

// Hold are the parts that we hold for a resync; [membership.Taken] is one.
type Hold interface {
	Lost() <-chan struct{}
	Give()
}

// Span is a type, or a range of namespaces of it.
type Span struct {
	Type        resource.Type
	From, Until string
}

// After returns the first name that may follow that of a namespace: none lies between a name and that name with a
// dash.
func After(namespace string) string { return namespace + "-" }

// Take makes us the only sender of spans, as [membership.Membership.Take] does.
func (s Seat) Take(ctx context.Context, spans []Span) (Hold, error) {
	of := make([]ownership.Part, 0, len(spans))
	for _, p := range spans {
		if in := p.Type.Within; in != "" {
			p.From, p.Until = in, After(in)
		}
		of = append(of, ownership.Part{Kind: s.Kind(p.Type), From: p.From, Until: p.Until})
	}
	t, err := s.Membership.Take(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("taking a part: %w", err)
	}
	return t, nil
}
