//go:build cluster

package cluster

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestInstalledAsTheReadmeSays follows the README line by line, as a newcomer does.
func TestInstalledAsTheReadmeSays(t *testing.T) {
	loaded(t)
	command := readme(t)
	if !strings.Contains(command, "replicaCount=3") || !strings.Contains(command, "http://cluster-whisperer:3000/") {
		t.Fatalf("the README's command has changed:\n%s", command)
	}
	r := install(t, command)
	objects := r.waitEqual(3 * time.Minute)
	if s := r.stats(); s.Unchanged*100 > objects {
		t.Errorf("the first sync sent %d objects twice", s.Unchanged)
	}

	t.Run("what a user sees", looksWell)
	t.Run("resync", func(t *testing.T) { resyncs(t, r.in(t), objects) })
	t.Run("plugin", func(t *testing.T) { plugin(t, r.in(t), objects) })
	t.Run("metrics", metrics)
	r.waitEqual(converge)
}

// looksWell checks the release from all sides.
func looksWell(t *testing.T) {
	nodes := make(map[string]bool)
	for i := range 3 {
		nodes[nodeOf(t, fmt.Sprintf("%s-%d", name, i))] = true
	}
	if len(nodes) != 3 {
		t.Errorf("three replicas are on %d nodes", len(nodes))
	}
	if out := sh(t, "helm status "+name+" -n "+namespace); !strings.Contains(out, "STATUS: deployed") || !strings.Contains(out, "It brings http://cluster-whisperer:3000/api/v1/instances/sync to the state of this cluster") {
		t.Errorf("helm status says\n%s", out)
	}
	if out := kubectl(t, "get statefulset "+name); !strings.Contains(out, "3/3") {
		t.Errorf("kubectl get statefulset says\n%s", out)
	}
	if n := restarts(t); len(n) > 0 {
		t.Errorf("containers were restarted: %v", n)
	}
	// Probes may come before the server listens, and a pod may come before its node's kubelet knows the authority of
	// the cluster.
	if out := kubectl(t, "get events --field-selector type=Warning --no-headers | grep -vE 'Readiness probe failed|failed to sync configmap cache' || true"); strings.Contains(out, "pod/"+name) {
		t.Errorf("there are warnings:\n%s", out)
	}
	waitWell(t, converge, 3)
	if out := kubectl(t, "get leases --no-headers"); strings.Count(out, "\n") != 3 {
		t.Errorf("kubectl get leases says\n%s", out)
	}
}

// resyncs asks for a resync as the README describes it: with a port-forward and a curl.
func resyncs(t *testing.T, r *receiverPod, objects int) {
	mark := r.mark()
	stop := background(t, "kubectl port-forward svc/k8s-vectordb-sync 8082:8082 -n k8s-vectordb-sync-system")
	var answer struct {
		Status    string
		Resources int
		Message   string
	}
	out := sh(t, "curl -sS -X POST http://localhost:8082/api/v1/resync")
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Status != "ok" || answer.Resources < objects {
		t.Fatalf("the resync of at least %d objects is answered with %s: %v", objects, out, err)
	}
	senders := r.senders(mark)
	sent := 0
	for _, n := range senders {
		sent += n
	}
	t.Logf("%s; sent by %v", answer.Message, senders)
	if sent < objects || len(senders) != 3 {
		t.Errorf("%d upserts were sent by %v, want at least %d by all three replicas", sent, senders, objects)
	}
	if out := sh(t, "curl -sS http://localhost:8082/api/v1/status"); !strings.Contains(out, `"phase":"inSync"`) {
		t.Errorf("the status is %s", out)
	}
	ringPage(t)
	stop()
}

// ringPage reads the page for people through the same port-forward, in a browser if there is one.
func ringPage(t *testing.T) {
	browse := "curl -sS"
	if _, err := try(t, "command -v chromium"); err == nil {
		browse = "chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=" + t.TempDir() + " --dump-dom 2>/dev/null"
	}
	out := sh(t, browse+" http://localhost:8082/ring")
	for _, want := range []string{"All 3 members agree", name + "-0", name + "-1", name + "-2"} {
		if !strings.Contains(out, want) {
			t.Errorf("the page of the ring lacks %q:\n%s", want, out)
		}
	}
}

// plugin is kubectl vectordb-sync, with which one replica alone sends its own objects again.
func plugin(t *testing.T, r *receiverPod, objects int) {
	waitWell(t, converge, 3)
	mark := r.mark()
	out := sh(t, "kubectl vectordb-sync resync --replica "+name+"-1")
	senders := r.senders(mark)
	t.Logf("%s\nsent by %v", out, senders)
	var sender string
	for s := range senders {
		sender = s
	}
	if n := senders[sender]; len(senders) != 1 || !strings.Contains(sender, name+"-1") || n < objects/5 || n > objects/2 {
		t.Errorf("upserts were sent by %v, want about a third of %d by replica 1 alone", senders, objects)
	}
	for command, want := range map[string][]string{
		"status": {name + "-0", name + "-1", name + "-2", "All is well"},
		"ring":   {"3 members", "agreed"},
		"owner statefulset/" + name + " -n " + namespace: {namespace + "/apps/v1/StatefulSet/" + name, "yes"},
		"version": {"one", name + "-2"},
		"resyncs": {"done"},
	} {
		out := sh(t, "kubectl vectordb-sync "+command)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("kubectl vectordb-sync %s lacks %q:\n%s", command, w, out)
			}
		}
	}
}

// metrics are read as the README describes it, and refused to callers without a token, or without the right.
func metrics(t *testing.T) {
	lines := block(t, root+"/README.md", "kubectl create token")
	forward, rest, found := strings.Cut(lines, "\nTOKEN=")
	if !found {
		t.Fatalf("the README's lines have changed:\n%s", lines)
	}
	stop := background(t, forward)
	defer stop()
	out := sh(t, "TOKEN="+rest)
	if !regexp.MustCompile(`(?m)^k8s_vectordb_sync_objects.* \d`).MatchString(out) || !strings.Contains(out, "go_goroutines") {
		t.Errorf("the metrics are\n%.2000s", out)
	}
	const code = "curl -k -sS -o /dev/null -w '%{http_code}' https://localhost:8443/metrics"
	if out := sh(t, code); out != "401" {
		t.Errorf("without a token the answer is %s", out)
	}
	if out := sh(t, code+` -H "Authorization: Bearer $(kubectl create token default -n `+namespace+`)"`); out != "403" {
		t.Errorf("to a token of somebody else the answer is %s", out)
	}
	if out := sh(t, code+` -H "Authorization: Bearer nonsense"`); out != "401" {
		t.Errorf("to a token that is none the answer is %s", out)
	}
}
