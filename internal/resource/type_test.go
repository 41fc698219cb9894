package resource_test

import (
	"slices"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// TestTypeNames: the name of a type, or of a slice, is read as it was written, and any other text is refused.
func TestTypeNames(t *testing.T) {
	t.Parallel()
	pods := resource.Type{Version: "v1", Resource: "pods"}
	jobs := resource.Type{Group: "batch", Version: "v1", Resource: "jobs"}
	sliced := func(t resource.Type) resource.Type { t.Namespaced = true; return t.In("team-a") }
	for name, want := range map[string]resource.Type{
		"pods.v1": pods, "jobs.v1.batch": jobs, "pods.v1@team-a": sliced(pods), "jobs.v1.batch@team-a": sliced(jobs),
	} {
		got, ok := resource.ParseType(name)
		if !ok || got != want || got.String() != name {
			t.Errorf("%s is read as %+v (%t), and written as %s", name, got, ok, got)
		}
		if whole, within := resource.WholeName(name); whole != want.Whole().String() || within != want.Within {
			t.Errorf("%s is of %s in %q", name, whole, within)
		}
	}
	for _, name := range []string{"", "pods", "pods.", ".v1", "pods.v1.", "pods.v1@", "@team-a", "pods.v1@a@b"} {
		if got, ok := resource.ParseType(name); ok {
			t.Errorf("%q is read as %+v", name, got)
		}
	}
}

// TestSlices: a slice gives its objects the IDs that they have in the whole, and has its own place in the order.
func TestSlices(t *testing.T) {
	t.Parallel()
	pods := resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	a, b := pods.In("a"), pods.In("b")
	if a.ID("a", "x") != pods.ID("a", "x") || a.GVR() != pods.GVR() || a.Whole() != pods || a == b {
		t.Errorf("slices are %+v and %+v", a, b)
	}
	types := []resource.Type{b, a, pods}
	slices.SortFunc(types, resource.CompareTypes)
	if !slices.Equal(types, []resource.Type{pods, a, b}) {
		t.Errorf("in order: %v", types)
	}
}
