//go:build integration

package controller_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// patience bounds every wait for a real API server on a busy machine.
const patience = 60 * time.Second

const definition = "../../config/crd/dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml"

// quickStart is what a user of dot-ai writes.
const quickStart = `apiVersion: dot-ai.devopstoolkit.live/v1alpha1
kind: ResourceSyncConfig
metadata:
  name: default-sync
  namespace: dot-ai
spec:
  mcpEndpoint: http://dot-ai.dot-ai.svc.cluster.local:3456/api/v1/resources/sync
  mcpAuthSecretRef:
    name: mcp-credentials
    key: api-key
  debounceWindowSeconds: 10
  resyncIntervalMinutes: 60
`

// cluster is a real API server and the real kubectl.
type cluster struct {
	cp *controlplane.ControlPlane
}

func (c cluster) try(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // cleanups use it as well
	defer cancel()
	cmd := exec.CommandContext(ctx, c.cp.Kubectl(), append([]string{"--kubeconfig", c.cp.Kubeconfig(), "--cache-dir", t.TempDir()}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// kubectl runs a command that must succeed.
func (c cluster) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := c.try(t, stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// ready returns status, reason and message of the condition Ready.
func (c cluster) ready(t *testing.T, namespace, name string) string {
	t.Helper()
	return c.kubectl(t, "", "get", "resourcesyncconfig", name, "-n", namespace, "-o",
		`jsonpath={range .status.conditions[?(@.type=="Ready")]}{.status} {.reason}: {.message}{end}`)
}

// start runs a controller until the test ends.
func (c cluster) start(t *testing.T, config *rest.Config, targets controller.Targets) {
	t.Helper()
	config.QPS = -1
	ctrl, err := controller.New(config, targets, controller.Options{Log: testr.New(t)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- ctrl.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the controller ended with %v", err)
		}
		c.try(t, "", "delete", "resourcesyncconfig", "--all", "-A")
	})
}

// TestOnARealAPIServer proves the controller, its definition and its permissions against etcd, kube-apiserver and kubectl.
func TestOnARealAPIServer(t *testing.T) {
	c := cluster{controlplane.ForTest(t, controlplane.Options{AuditLog: true})}
	t.Run("the definition may be installed later", func(t *testing.T) {
		targets := newFakeTargets()
		targets.report("*", syncing)
		c.start(t, c.cp.RESTConfig(), targets)
		g := gomega.NewWithT(t)
		c.kubectl(t, "", "create", "namespace", "dot-ai")
		c.kubectl(t, "", "create", "secret", "generic", "mcp-credentials", "--namespace", "dot-ai", "--from-literal=api-key=your-api-key-here")
		c.kubectl(t, "", "apply", "-f", definition)
		c.kubectl(t, "", "wait", "--for=condition=Established", "--timeout=60s", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live")
		g.Eventually(func() error {
			_, err := c.try(t, quickStart, "apply", "-f", "-")
			return err
		}, patience).Should(gomega.Succeed())
		g.Eventually(func() bool { _, ok := targets.get("dot-ai.default-sync"); return ok }, patience).Should(gomega.BeTrue())
	})
	t.Run("quick start", c.quickStart)
}

func (c cluster) quickStart(t *testing.T) {
	g := gomega.NewWithT(t)
	targets := newFakeTargets()
	targets.report("*", syncing)
	c.start(t, c.cp.RESTConfig(), targets)
	c.kubectl(t, quickStart, "apply", "-f", "-")
	g.Eventually(func() string { return c.ready(t, "dot-ai", "default-sync") }, patience).Should(gomega.HavePrefix("True Syncing"))
	target, _ := targets.get("dot-ai.default-sync")
	token, err := target.Token()
	if err != nil || token != "your-api-key-here" {
		t.Errorf("token %q, %v", token, err)
	}
	got := map[string]string{}
	for _, f := range []string{"active", "watchedResourceTypes", "totalResourcesSynced", "lastSyncTime", "lastResyncTime", "syncErrors", "lastError", "observedGeneration"} {
		got[f] = c.kubectl(t, "", "get", "resourcesyncconfig", "default-sync", "-n", "dot-ai", "-o", fmt.Sprintf("jsonpath={.status.%s}", f))
	}
	want := map[string]string{
		"active": "true", "watchedResourceTypes": "65", "totalResourcesSynced": "20243", "lastSyncTime": "2026-01-15T10:30:00Z",
		"lastResyncTime": "2026-01-15T10:00:00Z", "syncErrors": "2", "lastError": "connection refused", "observedGeneration": "1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
	t.Log("\n" + c.kubectl(t, "", "get", "resourcesyncconfig", "-A"))
	t.Log("\n" + c.kubectl(t, "", "get", "resourcesyncconfig", "-A", "-o", "wide"))
	t.Log("\n" + c.kubectl(t, "", "describe", "resourcesyncconfig", "-A"))
	t.Log("\n" + c.kubectl(t, "", "explain", "resourcesyncconfig.spec"))
}
