package watch

import (
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// NamespaceFilter decides by namespace which objects are reported. Its zero value lets all objects through.
type NamespaceFilter struct {
	// Include names the only namespaces to be reported; empty means all.
	Include []string
	// Exclude names namespaces that are not reported, and wins over Include.
	Exclude []string
}

// Match tells whether an object is reported. Cluster-scoped objects always are, except Namespaces, which are
// filtered by their own name. For a slice of a type, only objects in its namespace are reported.
func (f NamespaceFilter) Match(t resource.Type, namespace, name string) bool {
	if t.Within != "" && namespace != t.Within {
		return false
	}
	if !t.Namespaced {
		if t.Group != "" || t.Resource != "namespaces" {
			return true
		}
		namespace = name
	}
	if slices.Contains(f.Exclude, namespace) {
		return false
	}
	return len(f.Include) == 0 || slices.Contains(f.Include, namespace)
}

// Everything tells whether the filter lets all objects through.
func (f NamespaceFilter) Everything() bool { return len(f.Include) == 0 && len(f.Exclude) == 0 }
