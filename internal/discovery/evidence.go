package discovery

import (
	"maps"
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// evidence is what was known at one moment about the objects that define types: the names of those that exist and of
// those that were seen to be deleted. The two sets of one kind are disjoint. The zero value is no evidence at all.
type evidence struct {
	crds, crdsDeleted         map[string]bool
	services, servicesDeleted map[string]bool
}

// deleted tells whether the definition of a type was seen to be deleted and does not exist. An APIService that is gone
// proves nothing while the CustomResourceDefinition is there: the API server makes that APIService anew.
func (e evidence) deleted(t resource.Type) bool {
	return !e.defined(t) && (e.crdsDeleted[crdName(t)] || e.servicesDeleted[serviceName(t)])
}

// defined tells whether the type's CustomResourceDefinition is known to exist. It may still serve nothing.
func (e evidence) defined(t resource.Type) bool { return e.crds[crdName(t)] }

func crdName(t resource.Type) string { return t.Resource + "." + t.Group }

func serviceName(t resource.Type) string { return t.Version + "." + t.Group }

// names is the set of names of one kind of definitions, kept by a watch of them.
type names struct {
	mu      sync.Mutex // guards what follows
	present map[string]bool
	deleted map[string]bool
}

func newNames() *names {
	return &names{present: map[string]bool{}, deleted: map[string]bool{}}
}

// add notes that a definition exists.
func (n *names) add(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.present[name] = true
	delete(n.deleted, name)
}

// remove notes that a definition was deleted.
func (n *names) remove(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.present, name)
	n.deleted[name] = true
}

// replace takes a complete list in. What was there and is not in it was deleted.
func (n *names) replace(list []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	present := make(map[string]bool, len(list))
	for _, name := range list {
		present[name] = true
		delete(n.deleted, name)
	}
	for name := range n.present {
		if !present[name] {
			n.deleted[name] = true
		}
	}
	n.present = present
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
	return maps.Clone(n.present), maps.Clone(n.deleted)
}
