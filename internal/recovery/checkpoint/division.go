package checkpoint

import (
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// A type is read as a whole, or as slices of some namespaces, as the rights of the process are at its start. A
// member understands checkpoints of the other division, too: an entry of a whole type speaks of each of its slices,
// and the entry of a slice speaks of those objects of the whole.

// slicesMark stands behind the name of a whole type to mean all its slices. No name of a type ends with it.
const slicesMark = "@"

// of returns the entry of a checkpoint for a type, or for a slice of one, that has such an object.
func (c *Checkpoint) of(typeName string, id resource.ID) (Entry, bool) {
	if e, ok := c.Types[typeName]; ok {
		return e, true
	}
	whole, within := resource.WholeName(typeName)
	if within == "" {
		namespace, _, _ := strings.Cut(string(id), "/")
		whole += slicesMark + namespace
	}
	e, ok := c.Types[whole]
	return e, ok
}

// other is the name of a type in the other division: the whole type for a slice, and all slices for a whole type.
func other(typeName string) string {
	whole, within := resource.WholeName(typeName)
	if within == "" {
		return whole + slicesMark
	}
	return whole
}

// slicesOf is the name of all slices of a slice's type, and empty for a whole type.
func slicesOf(typeName string) string {
	whole, within := resource.WholeName(typeName)
	if within == "" {
		return ""
	}
	return whole + slicesMark
}

// Of returns the versions at which the receiver had all objects of a type, or of a slice of one.
func (p Past) Of(typeName string) []uint64 {
	if versions, ok := p.Versions[typeName]; ok {
		return versions
	}
	whole, within := resource.WholeName(typeName)
	if within != "" {
		return p.Versions[whole]
	}
	var all []uint64
	for name, versions := range p.Versions {
		if strings.HasPrefix(name, whole+slicesMark) {
			all = append(all, versions...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// OpaqueOf tells whether a type was sent although its versions are no numbers.
func (p Past) OpaqueOf(typeName string) bool {
	whole, within := resource.WholeName(typeName)
	if within != "" || p.Opaque[typeName] {
		return p.Opaque[typeName] || p.Opaque[whole]
	}
	for name, opaque := range p.Opaque {
		if opaque && strings.HasPrefix(name, whole+slicesMark) {
			return true
		}
	}
	return false
}

// Events are, by type, the newest changes that other members had seen.
type Events map[string]uint64

// Of returns the newest change of a type, or of a slice of one.
func (e Events) Of(typeName string) uint64 { return max(e[typeName], e[other(typeName)]) }

// add notes that a member has seen a type up to this change.
func (e Events) add(typeName string, event uint64) {
	e[typeName] = max(e[typeName], event)
	if all := slicesOf(typeName); all != "" {
		e[all] = max(e[all], event)
	}
}
