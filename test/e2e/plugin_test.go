//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin/forwardtest"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// kubectl runs the real kubectl with the plugin on its path.
type kubectl struct {
	r    *fleet.Rig
	path string
	home string
}

// newKubectl builds the plugin and puts it where kubectl finds it, also for completions.
func newKubectl(t *testing.T, r *fleet.Rig) kubectl {
	t.Helper()
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=e2e",
		"-o", filepath.Join(dir, "kubectl-vectordb_sync"), "./cmd/kubectl-vectordb_sync")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the plugin: %v\n%s", err, out)
	}
	if err := os.Symlink("kubectl-vectordb_sync", filepath.Join(dir, "kubectl_complete-vectordb_sync")); err != nil {
		t.Fatal(err)
	}
	return kubectl{r: r, path: dir, home: t.TempDir()}
}

// run runs kubectl and returns its exit code and its output.
func (k kubectl) run(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), k.r.Kubectl(), args...)
	cmd.Env = []string{"PATH=" + k.path, "HOME=" + k.home, "KUBECONFIG=" + k.r.Kubeconfig()}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), stdout.String(), stderr.String()
	}
	if err != nil {
		t.Fatalf("kubectl %s: %v", strings.Join(args, " "), err)
	}
	return 0, stdout.String(), stderr.String()
}

// sync runs kubectl vectordb-sync until it ends with this exit code, and returns the output of that run. On a busy
// machine, a member may fall silent for a moment, and the plugin finds problems until it is back.
func (k kubectl) sync(t *testing.T, code int, args ...string) string {
	t.Helper()
	said := ""
	fleet.Eventually(t, time.Minute, func() string {
		got, out, errOut := k.run(t, append([]string{"vectordb-sync"}, args...)...)
		said = out + errOut
		if got != code {
			return fmt.Sprintf("kubectl vectordb-sync %s ended with %d, want %d:\n%s", strings.Join(args, " "), got, code, said)
		}
		return ""
	})
	return said
}

// TestKubectlPlugin has the real kubectl find the plugin, and the plugin find three replicas: by their pods, through
// the API server's port-forward, and by their addresses. These pods have no kubelet. The test plays one, which
// forwards to processes.
func TestKubectlPlugin(t *testing.T) {
	beside(t, 50*time.Second)
	r := fleet.New(t, fleet.Options{})
	cluster(t, r, 1000)
	r.Kube("", "create", "configmap", "sent-again")
	var replicas []*fleet.Replica
	for i := range 3 {
		replicas = append(replicas, r.Start(map[string]string{"POD_NAME": fmt.Sprintf("sync-%d", i)}))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, time.Minute, replicas...)
	r.WaitEqual(time.Minute)
	k := newKubectl(t, r)
	node := kubelet(t, r)
	for _, p := range replicas {
		pod(t, r, p, node)
	}
	r.WaitEqual(time.Minute)
	api := make([]string, 0, len(replicas))
	for _, p := range replicas {
		p.WaitInStep(time.Minute)
		api = append(api, p.API)
	}

	t.Run("kubectl finds and completes it", func(t *testing.T) {
		if _, out, errOut := k.run(t, "plugin", "list"); !strings.Contains(out, "kubectl-vectordb_sync") {
			t.Errorf("plugin list:\n%s%s", out, errOut)
		}
		_, out, errOut := k.run(t, "__complete", "vectordb-sync", "resync", "--replica", "")
		if !strings.HasPrefix(out, "sync-0\nsync-1\nsync-2\n") {
			t.Errorf("completing a replica:\n%s%s", out, errOut)
		}
		_, out, _ = k.run(t, "__complete", "vectordb-sync", "resync", "--resource", "deploy")
		if !strings.HasPrefix(out, "deployments.apps\n") {
			t.Errorf("completing a resource:\n%s", out)
		}
	})
	for name, way := range map[string][]string{"through the API server": nil, "by address": {"--api", strings.Join(api, ",")}} {
		t.Run(name, func(t *testing.T) { k.everything(t, way) })
	}

	t.Run("a resync of one type in one namespace", func(t *testing.T) {
		r := r.In(t)
		mark := r.Mark()
		out := k.sync(t, 0, "resync", "--resource", "configmaps", "-n", "default")
		if !strings.Contains(out, " done: ") {
			t.Errorf("resync said:\n%s", out)
		}
		found := false
		for _, rec := range r.Since(mark) {
			for _, u := range rec.Upserts {
				found = found || u.ID == "default/v1/ConfigMap/sent-again"
				if !strings.HasPrefix(u.ID, "default/v1/ConfigMap/") {
					t.Errorf("%s was sent and not asked for", u.ID)
				}
			}
		}
		if !found {
			t.Error("the object was not sent again")
		}
		if out := k.sync(t, 0, "resyncs"); !strings.Contains(out, "configmaps") {
			t.Errorf("resyncs said:\n%s", out)
		}
		if out := k.sync(t, 2, "resync", "--resource", "deploymnets.apps"); !strings.Contains(out, "did you mean deployments.apps") {
			t.Errorf("an unknown resource is answered:\n%s", out)
		}
	})

	t.Run("a verification of all types, and of one", func(t *testing.T) {
		code, out, errOut := k.run(t, "vectordb-sync", "verify")
		if code != 0 || !strings.Contains(out, " done: types: ") || !strings.Contains(out, " equal") {
			t.Errorf("verify ended with %d:\n%s%s", code, out, errOut)
		}
		total := 0
		steps := strings.Split(strings.TrimSpace(errOut), "\n")
		if _, err := fmt.Sscanf(steps[len(steps)-1], "%d of", &total); err != nil || total < 50 || !strings.HasSuffix(steps[len(steps)-1], " verified") {
			t.Errorf("verify showed no progress to the end:\n%s", errOut)
		}
		code, out, errOut = k.run(t, "vectordb-sync", "verify", "--resource", "configmaps", "-o", "wide")
		row := regexp.MustCompile(`(?m)^configmaps\.v1 +equal +[0-9]+ `)
		if code != 0 || !row.MatchString(out) || !strings.Contains(errOut, "1 of 1 type verified") {
			t.Errorf("verify --resource ended with %d:\n%s%s", code, out, errOut)
		}
		if out := k.sync(t, 2, "verify", "--resource", "deploymnets.apps"); !strings.Contains(out, "did you mean deployments.apps") {
			t.Errorf("an unknown resource is answered:\n%s", out)
		}
	})

	t.Run("what is wrong", func(t *testing.T) {
		r := r.In(t)
		r.SetFaults(receiver.Rule{Effect: receiver.Effect{Status: 503}})
		r.Kube("", "create", "configmap", "waiting")
		fleet.Eventually(t, time.Minute, func() string {
			code, out, errOut := k.run(t, "vectordb-sync", "status")
			if code == 1 && strings.Contains(out, "receiver default has been down") {
				return ""
			}
			return fmt.Sprintf("status ended with %d:\n%s%s", code, out, errOut)
		})
		r.SetFaults()
		replicas[2].Kill()
		fleet.Eventually(t, time.Minute, func() string {
			code, out, errOut := k.run(t, "vectordb-sync", "status")
			if code == 1 && strings.Contains(out, "sync-2 does not answer: ") && strings.Contains(out, "connection refused") {
				return ""
			}
			return fmt.Sprintf("status ended with %d:\n%s%s", code, out, errOut)
		})
	})
}

// everything asks all questions to a healthy fleet.
func (k kubectl) everything(t *testing.T, way []string) {
	var status struct {
		Replicas []struct {
			Name   string
			Status struct{ Objects int }
		}
		Receivers []struct {
			Delivering []string
			Upserts    int
		}
		Problems []string
	}
	if err := json.Unmarshal([]byte(k.sync(t, 0, append(way, "status", "-o", "json")...)), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Replicas) != 3 || status.Replicas[2].Name != "sync-2" || status.Replicas[2].Status.Objects < 1000 ||
		len(status.Receivers) != 1 || len(status.Receivers[0].Delivering) != 3 || status.Receivers[0].Upserts < 1000 {
		t.Errorf("status: %+v", status)
	}
	t.Logf("\n%s\n%s", k.sync(t, 0, append(way, "status", "-o", "wide")...), k.sync(t, 0, append(way, "ring")...))
	for command, want := range map[string][]string{
		"status":                                {"sync-0", "sync-1", "sync-2", "default", "All is well"},
		"ring":                                  {"3 members", "agreed", "working"},
		"owner cm/sent-again":                   {"default/v1/ConfigMap/sent-again", "yes     yes", "sync-"},
		"owner namespace default":               {"_cluster/v1/Namespace/default", "yes     yes"},
		"owner default/v1/ConfigMap/sent-again": {"yes     yes"},
		"owner cm/sent-again -n shop":           {"shop/v1/ConfigMap/sent-again", "yes     no", "no replica that answers knows such an object"},
		"version":                               {"e2e", "sync-1"},
	} {
		out := k.sync(t, 0, append(strings.Fields(command), way...)...)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s lacks %q:\n%s", command, w, out)
			}
		}
	}
	if out := k.sync(t, 2, append([]string{"owner", "gadget/x"}, way...)...); !strings.Contains(out, `no resource "gadget"`) {
		t.Errorf("an unknown kind is answered:\n%s", out)
	}
}

// kubelet plays a kubelet for the API server: it forwards ports to the same ports of this machine. It returns the
// name of its node.
func kubelet(t *testing.T, r *fleet.Rig) (node string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !strings.HasPrefix(req.URL.Path, "/portForward/") {
			http.NotFound(w, req)
			return
		}
		forwardtest.Serve(w, req, func(ctx context.Context, port string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", port))
		})
	}))
	server.StartTLS()
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	node = "node-" + port
	r.Apply(fmt.Sprintf(`{apiVersion: v1, kind: Node, metadata: {name: %s}}`, node))
	r.Kube("", "patch", "node", node, "--subresource=status", "--type=merge", "-p", fmt.Sprintf(
		`{"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}], "daemonEndpoints": {"kubeletEndpoint": {"Port": %s}}}}`, port))
	return node
}

// pod makes a pod of the chart, in a namespace of its own, that stands for the process of a replica.
func pod(t *testing.T, r *fleet.Rig, p *fleet.Replica, node string) {
	t.Helper()
	_, port, err := net.SplitHostPort(p.API)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	r.Apply(fmt.Sprintf(`
{apiVersion: v1, kind: Namespace, metadata: {name: vectordb}}
---
apiVersion: v1
kind: Pod
metadata:
  name: %s
  namespace: vectordb
  labels: {app.kubernetes.io/name: k8s-vectordb-sync, app.kubernetes.io/instance: search}
spec:
  nodeName: %s
  automountServiceAccountToken: false
  containers: [{name: controller, image: none, ports: [{name: api, containerPort: %d}]}]
`, p.Name, node, number))
	r.Kube("", "patch", "pod", p.Name, "-n", "vectordb", "--subresource=status", "--type=merge", "-p", `{"status": {"phase": "Running"}}`)
}
