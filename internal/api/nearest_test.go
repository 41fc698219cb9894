package api_test

import (
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
