//go:build cluster

package cluster

import (
	"strings"
	"testing"
	"time"
)

// TestUninstallLeavesNothing is helm uninstall of a release that has used everything that it may use: Leases,
// checkpoints, the state of resyncs, ResourceSyncConfig objects.
func TestUninstallLeavesNothing(t *testing.T) {
	loaded(t)
	t.Cleanup(func() { sh(t, "kubectl delete crd resourcesyncconfigs.dot-ai.devopstoolkit.live --ignore-not-found") })
	r := install(t, readme(t)+quick+" --set resourceSyncConfig.enabled=true")
	apply(t, `
apiVersion: v1
kind: Secret
metadata: {name: receiver-token, namespace: `+namespace+`}
stringData: {api-key: not-a-secret}
---
apiVersion: dot-ai.devopstoolkit.live/v1alpha1
kind: ResourceSyncConfig
metadata: {name: second, namespace: `+namespace+`}
spec:
  mcpEndpoint: http://cluster-whisperer:3000/api/v1/resources/sync
  mcpAuthSecretRef: {name: receiver-token, key: api-key}
`)
	r.waitEqual(2 * time.Minute)
	sh(t, "kubectl vectordb-sync resync --resource configmaps -n kube-system --release "+name+" || true")
	const leftovers = "kubectl get leases,configmaps -n " + namespace + " -l app.kubernetes.io/name=" + name + " -o name --ignore-not-found"
	eventually(t, converge, leftovers, func(out string) bool {
		return strings.Count(out, "lease.") == 3 && strings.Count(out, "configmap/") >= 8
	})
	t.Logf("before:\n%s", sh(t, leftovers))

	out := sh(t, "helm uninstall "+name+" -n "+namespace+" --wait")
	if !strings.Contains(out, "uninstalled") {
		t.Errorf("helm uninstall says\n%s", out)
	}
	began := time.Now()
	eventually(t, converge, leftovers, func(out string) bool { return out == "" })
	t.Logf("Leases and ConfigMaps were gone %v after helm uninstall", time.Since(began).Round(100*time.Millisecond))
	// Only the objects of docs/install.md are left of the whole release, in any namespace: the definition and its
	// object. A container may take some seconds to end.
	const left = `types=$(kubectl api-resources --verbs=list -o name | grep -v '^events' | paste -sd,)
for label in name instance; do
  kubectl get "$types" -A -l app.kubernetes.io/$label=` + name + ` -o name --ignore-not-found 2>/dev/null
done | sort -u`
	eventually(t, converge, left, func(out string) bool {
		return strings.TrimSpace(out) == "customresourcedefinition.apiextensions.k8s.io/resourcesyncconfigs.dot-ai.devopstoolkit.live"
	})
	if out := kubectl(t, "get pods,statefulsets,persistentvolumeclaims -l app.kubernetes.io/name="+name+" --ignore-not-found"); strings.Contains(out, name) {
		t.Errorf("there are still\n%s", out)
	}
	// A later installation begins anew with an empty receiver: no source could tell which objects were deleted in
	// between.
	kubectl(t, "delete pod -l app=cluster-whisperer")
	r.find()
	sh(t, readme(t)+quick)
	waitReady(t, 3)
	r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
}

// TestClaimsGoOrStayAsDocumented is helm uninstall with persistence. This cluster provides no volumes, and the story
// needs none.
func TestClaimsGoOrStayAsDocumented(t *testing.T) {
	for policy, want := range map[string]int{"Delete": 0, "Retain": 2} {
		t.Run(policy, func(t *testing.T) {
			clean(t)
			t.Cleanup(func() { clean(t) })
			sh(t, strings.Replace(readme(t), "replicaCount=3", "replicaCount=2", 1)+
				" --set persistence.enabled=true --set persistence.retentionPolicy.whenDeleted="+policy)
			const claims = "kubectl -n " + namespace + " get persistentvolumeclaims -o name"
			eventually(t, arrive, claims, func(out string) bool { return strings.Count(out, "/state-"+name) == 2 })
			// The claims have to belong to the StatefulSet first, which its controller arranges.
			if policy == "Delete" {
				eventually(t, arrive, claims+" -o 'jsonpath={.items[*].metadata.ownerReferences[*].kind}'", func(out string) bool { return strings.Count(out, "StatefulSet") == 2 })
			}
			sh(t, "helm uninstall "+name+" -n "+namespace+" --wait")
			eventually(t, arrive, claims, func(out string) bool { return strings.Count(out, "/state-"+name) == want })
			eventually(t, arrive, "kubectl -n "+namespace+" get pods -o name", func(out string) bool { return out == "" })
			if out := sh(t, claims); strings.Count(out, "/state-"+name) != want {
				t.Errorf("with %s the claims are\n%s", policy, out)
			}
		})
	}
}
