//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

const declaredObject = `
apiVersion: dot-ai.devopstoolkit.live/v1alpha1
kind: ResourceSyncConfig
metadata:
  name: default-sync
  namespace: dot-ai
spec:
  mcpEndpoint: %s
  mcpAuthSecretRef:
    name: mcp-credentials
    key: api-key
  debounceWindowSeconds: 1
  resyncIntervalMinutes: 60
`

// TestADeclaredReceiverIsServed follows the quick start of ResourceSyncConfigs, with two replicas that have no
// receiver in their environment.
func TestADeclaredReceiverIsServed(t *testing.T) {
	beside(t, 70*time.Second)
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	r.Kube("", "apply", "--server-side", "-f", filepath.Join("..", "..", "config", "crd", "dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml"))
	c := cluster(t, r, 1000)
	env := map[string]string{"RESOURCE_SYNC_CONFIG": "true", "REST_ENDPOINT": "", "AUTH_TOKEN_FILE": ""}
	replicas := []*fleet.Replica{r.Start(env), r.Start(env)}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)

	r.Kube("", "create", "namespace", "dot-ai")
	r.Apply(fmt.Sprintf(declaredObject, r.SyncURL()))
	status := func(path string) string {
		return strings.TrimSpace(r.Kube("", "get", "resourcesyncconfig", "default-sync", "-n", "dot-ai", "-o", "jsonpath={"+path+"}"))
	}
	fleet.Eventually(t, time.Minute, func() string {
		if m := status(`.status.conditions[?(@.type=="Ready")].message`); !strings.Contains(m, "mcp-credentials") {
			return "the object says " + m
		}
		return ""
	})
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "--namespace", "dot-ai", "--from-literal=api-key="+fleet.Token)
	took, n := r.WaitEqual(time.Minute)
	t.Logf("%d objects in step after %v", n, took.Round(time.Millisecond))
	if senders := r.Receiver().Stats().BySender; len(senders) != 2 {
		t.Errorf("sent by %v, want by both replicas", senders)
	}
	fleet.Eventually(t, time.Minute, func() string {
		if s := status(`.status.conditions[?(@.type=="Ready")].status`); s != "True" {
			return "not ready: " + r.Kube("", "get", "resourcesyncconfig", "default-sync", "-n", "dot-ai", "-o", "yaml")
		}
		return ""
	})
	// The guide to ResourceSyncConfigs asks for these.
	for _, field := range []string{"active", "watchedResourceTypes", "totalResourcesSynced", "syncErrors", "conditions"} {
		if v := status(".status." + field); v == "" {
			t.Errorf("the object's status has no %s", field)
		}
	}
	if code, table := 0, r.Kube("", "get", "resourcesyncconfig", "-n", "dot-ai"); code != 0 || !strings.Contains(table, "default-sync") {
		t.Errorf("kubectl get says:\n%s", table)
	} else {
		t.Logf("kubectl get says:\n%s", table)
	}

	h := newHistory()
	h.churn(t, c, 5*time.Second, false)
	r.WaitEqual(converge)

	mark := r.Receiver().Stats().Upserts
	again := r.Start(map[string]string{"RESOURCE_SYNC_CONFIG": "true", "REST_ENDPOINT": "", "AUTH_TOKEN_FILE": ""})
	again.WaitReady(time.Minute)
	agreed(t, 30*time.Second, append(replicas, again)...)
	h.churn(t, c, 3*time.Second, false)
	r.WaitEqual(converge)
	replicas[0].Kill()
	h.churn(t, c, 3*time.Second, false)
	r.WaitEqual(converge)
	t.Logf("%d upserts since a third replica has joined and one was killed", r.Receiver().Stats().Upserts-mark)

	before := r.Receiver().Len("resources")
	r.Kube("", "delete", "resourcesyncconfig", "default-sync", "-n", "dot-ai")
	fleet.Eventually(t, time.Minute, func() string {
		if n := len(again.Status().Targets); n != 0 {
			return fmt.Sprintf("%d receivers are served", n)
		}
		return ""
	})
	if after := r.Receiver().Len("resources"); after < before-10 {
		t.Errorf("%d documents are left of %d: the end of an object deletes nothing", after, before)
	}
}
