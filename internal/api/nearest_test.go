package api_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

func TestNearestFindsWhatWasMeant(t *testing.T) {
	t.Parallel()
	served := []string{
		"deployments.apps", "daemonsets.apps", "statefulsets.apps", "pods", "podtemplates", "services", "nodes", "namespaces",
		"configmaps", "ingresses.networking.k8s.io", "networkpolicies.networking.k8s.io", "pods.metrics.k8s.io", "nodes.metrics.k8s.io",
	}
	for typed, want := range map[string][]string{
		"deployment":       {"deployments.apps"},
		"deploymnets":      {"deployments.apps"},
		"Deployments":      {"deployments.apps"},
		"deployments.app":  {"deployments.apps"},
		"deploy":           {"deployments.apps"},
		"pod":              {"pods", "pods.metrics.k8s.io", "podtemplates"},
		"pdos":             {"pods", "pods.metrics.k8s.io"},
		"ingress":          {"ingresses.networking.k8s.io"},
		"service":          {"services"},
		"configmap":        {"configmaps"},
		"po":               nil,
		"":                 nil,
		"zebra":            nil,
		"namespaces.v1":    {"namespaces"},
		"statefullsets.ap": {"statefulsets.apps"},
	} {
		t.Run(typed, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(want, api.Nearest(typed, served)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestNearestIsBoundedAndHasNoDuplicates(t *testing.T) {
	t.Parallel()
	got := api.Nearest("shop", []string{"shop-1", "shop-1", "shop-2", "shop-3", "shop-4", "shop-5", "shop-6"})
	if diff := cmp.Diff([]string{"shop-1", "shop-2", "shop-3", "shop-4", "shop-5"}, got); diff != "" {
		t.Error(diff)
	}
}

// FuzzEdits: the distance is 0 for equals alone, symmetric, at least the difference in length and at most the longer
// length, and one for one swap.
func FuzzEdits(f *testing.F) {
	f.Add("pods", "psod")
	f.Add("", "nodes")
	f.Add("deployments.apps", "deploymnets.apps")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 300 || len(b) > 300 {
			t.Skip("quadratic")
		}
		d := api.Edits(a, b)
		if (d == 0) != (a == b) || d != api.Edits(b, a) || d < len(a)-len(b) || d < len(b)-len(a) || d > max(len(a), len(b)) {
			t.Errorf("%q %q: %d, and %d the other way round", a, b, d, api.Edits(b, a))
		}
		if len(a) >= 2 && a[0] != a[1] {
			if swapped := string(a[1]) + string(a[0]) + a[2:]; len(swapped) == len(a) && api.Edits(a, swapped) != 1 {
				t.Errorf("%q and %q are %d apart", a, swapped, api.Edits(a, swapped))
			}
		}
		if d := api.Edits(a, a+strings.Repeat("x", 3)); d != 3 {
			t.Errorf("three appended to %q are %d", a, d)
		}
	})
}
