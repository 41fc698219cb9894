package watch_test

import (
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

func TestNamespaceFilter(t *testing.T) {
	t.Parallel()
	namespaces := resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	projects := resource.Type{Group: "example.com", Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	only := watch.NamespaceFilter{Include: []string{"a", "b"}, Exclude: []string{"b"}}
	not := watch.NamespaceFilter{Exclude: []string{"b"}}
	for name, tc := range map[string]struct {
		filter          watch.NamespaceFilter
		t               resource.Type
		namespace, name string
		want            bool
	}{
		"no filter":                            {watch.NamespaceFilter{}, pods, "a", "x", true},
		"included":                             {only, pods, "a", "x", true},
		"not included":                         {only, pods, "c", "x", false},
		"excluded wins over included":          {only, pods, "b", "x", false},
		"not excluded":                         {not, pods, "c", "x", true},
		"excluded":                             {not, pods, "b", "x", false},
		"cluster-scoped passes":                {only, nodes, "", "c", true},
		"cluster-scoped of that name passes":   {not, nodes, "", "b", true},
		"included namespace itself":            {only, namespaces, "", "a", true},
		"namespace itself, not included":       {only, namespaces, "", "c", false},
		"namespace itself, excluded":           {not, namespaces, "", "b", false},
		"namespaces of another group are none": {not, projects, "", "b", true},
		"slice, in its namespace":              {only, pods.In("a"), "a", "x", true},
		"slice, elsewhere":                     {watch.NamespaceFilter{}, pods.In("a"), "b", "x", false},
		"slice of an excluded namespace":       {not, pods.In("b"), "b", "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tc.filter.Match(tc.t, tc.namespace, tc.name); got != tc.want {
				t.Errorf("Match is %t, want %t", got, tc.want)
			}
		})
	}
}
