package workload_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

func TestSameSeedMakesTheSamePlan(t *testing.T) {
	plan := func(seed uint64) []workload.Object {
		p, err := workload.Plan(workload.Options{Objects: 300, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := plan(1)
	if diff := cmp.Diff(first, plan(1), cmpopts.IgnoreUnexported(workload.Object{})); diff != "" {
		t.Errorf("seed 1 made two plans (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, plan(2), cmpopts.IgnoreUnexported(workload.Object{})) {
		t.Error("seeds 1 and 2 made the same plan")
	}
}

// TestPlanIsRealistic checks the properties of a generated cluster on which tests rely:
//   - at least 80 types, 25 of them custom, in at least 50 namespaces, and about as many objects as the options say;
//   - objects with and without labels; descriptions, short, foreign and too long; big last-applied annotations;
//   - finalizers, names given by the server, owners that come before their objects, in the same namespace.
func TestPlanIsRealistic(t *testing.T) {
	plan, err := workload.Plan(workload.Options{Objects: 5000, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	types, groups, namespaces := make(map[string]bool), make(map[string]bool), make(map[string]bool)
	found := make(map[string]int)
	objects := 0
	for i, o := range plan {
		types[o.Type.String()] = true
		groups[o.Type.Group] = true
		switch o.Type.Resource {
		case "namespaces":
			namespaces[o.Manifest.GetName()] = true
			continue
		case "customresourcedefinitions":
			found["definitions"]++
			continue
		}
		objects++
		for feature, has := range map[string]bool{
			"labels":       len(o.Manifest.GetLabels()) > 0,
			"no labels":    len(o.Manifest.GetLabels()) == 0,
			"description":  o.Manifest.GetAnnotations()["description"] != "",
			"too long":     len(o.Manifest.GetAnnotations()["description"]) > 1024,
			"foreign":      strings.ContainsFunc(o.Manifest.GetAnnotations()["description"], func(r rune) bool { return r > 127 }),
			"prefixed":     o.Manifest.GetAnnotations()["docs.example.com/description"] != "",
			"last applied": len(o.Manifest.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"]) > 1500,
			"finalizer":    len(o.Manifest.GetFinalizers()) > 0,
			"generated":    o.Manifest.GetName() == "" && o.Manifest.GetGenerateName() != "",
			"owner":        o.Owner >= 0,
		} {
			if has {
				found[feature]++
			}
		}
		if o.Owner >= i {
			t.Fatalf("object %d is owned by %d, which comes after it", i, o.Owner)
		}
		if o.Owner >= 0 && plan[o.Owner].Manifest.GetNamespace() != o.Manifest.GetNamespace() {
			t.Fatalf("object %d has an owner in another namespace", i)
		}
		if o.Type.Namespaced && !namespaces[o.Manifest.GetNamespace()] {
			t.Fatalf("object %d is in namespace %q, which is not planned", i, o.Manifest.GetNamespace())
		}
	}
	if len(types) < 80 || len(groups) < 30 || len(namespaces) != 50 || objects < 4500 || objects > 5100 || found["definitions"] < 25 {
		t.Errorf("%d types in %d groups, %d of them custom, %d namespaces, %d objects",
			len(types), len(groups), found["definitions"], len(namespaces), objects)
	}
	for _, feature := range []string{
		"labels", "no labels", "description", "too long", "foreign", "prefixed", "last applied", "finalizer", "generated", "owner",
	} {
		if found[feature] < 10 {
			t.Errorf("%d objects with %s, want 10 at least", found[feature], feature)
		}
	}
}

func TestDemoIsReadable(t *testing.T) {
	plan, err := workload.Demo()
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	described := 0
	for _, o := range plan {
		id := string(o.Type.ID(o.Manifest.GetNamespace(), o.Manifest.GetName()))
		if seen[id] {
			t.Errorf("%s is there twice", id)
		}
		seen[id] = true
		if o.Manifest.GetAnnotations()["description"] != "" {
			described++
		} else if o.Type.Resource != "customresourcedefinitions" {
			t.Errorf("%s has no description", id)
		}
	}
	if described < 250 {
		t.Errorf("%d described objects, want 250 at least", described)
	}
}
