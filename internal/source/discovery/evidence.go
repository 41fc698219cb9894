package discovery

import (
	"maps"
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// evidence has the names of the objects that define types, at one moment: those that exist, and those whose
// deletion a watch has seen. The two sets of one kind are disjoint. The zero value is no evidence at all.
type evidence struct {
	crds, crdsDeleted         map[string]bool
	services, servicesDeleted map[string]bool
}

// deleted tells whether a watch has seen the deletion of a type's definition, and the definition does not exist.
// A missing APIService proves nothing while the CustomResourceDefinition exists: the API server makes that
// APIService anew.
func (e evidence) deleted(t resource.Type) bool {
	return !e.defined(t) && (e.crdsDeleted[crdName(t)] || e.servicesDeleted[serviceName(t)])
}

// defined tells whether the type's CustomResourceDefinition is known to exist. It may still serve nothing.
func (e evidence) defined(t resource.Type) bool { return e.crds[crdName(t)] }

func crdName(t resource.Type) string { return t.Resource + "." + t.Group }

func serviceName(t resource.Type) string { return t.Version + "." + t.Group }

// news is what an event of a definition means for the set of served types.
type news uint8

const (
	// rewritten: the definition was written, with the same spec. Labels, annotations and most of the status serve
	// no type.
	rewritten news = iota
	// changed: the definition has another spec.
	changed
	// arrived: the definition was created or deleted.
	arrived
)

// definition is what discovery keeps of a definition: 16 bytes.
type definition struct {
	generation int64
	// local says that the API server made the APIService for a group that it serves itself; false for
	// CustomResourceDefinitions.
	local bool
}

// names are the definitions of one kind, by name. A watch keeps them up to date.
type names struct {
	mu      sync.Mutex // guards the fields below
	present map[string]definition
	deleted map[string]bool
}

func newNames() *names {
	return &names{present: map[string]definition{}, deleted: map[string]bool{}}
}

// add notes that a definition exists.
func (n *names) add(name string, d definition) news {
	n.mu.Lock()
	defer n.mu.Unlock()
	old, known := n.present[name]
	n.present[name] = d
	delete(n.deleted, name)
	switch {
	case !known:
		return arrived
	case old != d:
		return changed
	default:
		return rewritten
	}
}

// remove notes that a definition was deleted.
func (n *names) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.present, name)
	n.deleted[name] = true
}

// replace takes a complete list. A definition that was known and is not in the list was deleted.
func (n *names) replace(list map[string]definition) (most news) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, d := range list {
		delete(n.deleted, name)
		if old, known := n.present[name]; !known {
			most = arrived
		} else if old != d {
			most = max(most, changed)
		}
	}
	for name := range n.present {
		if _, there := list[name]; !there {
			n.deleted[name] = true
			most = arrived
		}
	}
	n.present = list
	return most
}

// generations returns the generations of all definitions that exist.
func (n *names) generations() map[string]int64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make(map[string]int64, len(n.present))
	for name, d := range n.present {
		all[name] = d.generation
	}
	return all
}

// get returns what is known of a definition of that name.
func (n *names) get(name string) (d definition, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, known = n.present[name]
	return d, known
}

// forget drops deletions that have served their purpose.
func (n *names) forget(used map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name := range used {
		delete(n.deleted, name)
	}
}

// copies returns both sets.
func (n *names) copies() (present, deleted map[string]bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	present = make(map[string]bool, len(n.present))
	for name := range n.present {
		present[name] = true
	}
	return present, maps.Clone(n.deleted)
}
