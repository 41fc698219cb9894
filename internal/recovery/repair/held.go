package repair

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Source is a source that can reveal a deletion that no member saw.
type Source string

// The sources stand in the order in which they are asked.
const (
	History   Source = "history"
	Exact     Source = "exact"
	Inventory Source = "inventory"
	Receiver  Source = "receiver"
)

// Held is a repair that would delete more of a type than may be deleted without a person's consent.
type Held struct {
	Resource string `json:"resource"`
	Source   Source `json:"source"`
	// Documents is how many documents the repair would delete, Limit how many may be deleted without consent.
	Documents int `json:"documents"`
	Limit     int `json:"limit"`
}

// Documents is how many documents all held repairs would delete.
func Documents(held map[resource.Type]Held) (n int) {
	for _, h := range held {
		n += h.Documents
	}
	return n
}

// Sorted returns all of several sets, in one order.
func Sorted(sets ...map[resource.Type]Held) []Held {
	var all []Held
	for _, set := range sets {
		all = slices.AppendSeq(all, maps.Values(set))
	}
	slices.SortFunc(all, func(a, b Held) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Source, b.Source))
	})
	return all
}

// Sweep deletes documents; see [Deleter.Sweep].
type Sweep func(ctx context.Context, t resource.Type, gone []guard.Object, end bool) (told int, err error)

// Scope selects objects of a type. The zero value selects all of them.
type Scope struct {
	// Namespace is empty for all; [resource.ClusterNamespace] is for cluster-scoped objects.
	Namespace string
	// Owned narrows it to some objects; nil: all.
	Owned func(namespace, name string) bool
}

// Whole tells whether the scope selects everything.
func (s Scope) Whole() bool { return s.Namespace == "" && s.Owned == nil }

// Has tells whether the scope selects an object.
func (s Scope) Has(namespace, name string) bool {
	in := s.Namespace == "" || s.Namespace == namespace || s.Namespace == resource.ClusterNamespace && namespace == ""
	return in && (s.Owned == nil || s.Owned(namespace, name))
}
