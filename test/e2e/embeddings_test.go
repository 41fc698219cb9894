//go:build e2e

package e2e

import (
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestAnUnchangedClusterCostsDotAINothing restarts both replicas three times, which sends nothing. After each
// restart it has everything sent again, which sends the very same texts: dot-ai embeds each document with another
// updatedAt.
func TestAnUnchangedClusterCostsDotAINothing(t *testing.T) {
	beside(t, time.Minute)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "apply", "--server-side", "-f", definition)
	cluster(t, r, 300)
	o := newOutlet(t, dotAIPath, false)
	r.Kube("", "create", "namespace", "dot-ai")
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key="+fleet.Token)
	r.Apply(declaration(t, "default-sync", map[string]any{"mcpEndpoint": o.url()}))
	start := func() (replicas []*fleet.Replica) {
		for _, name := range []string{"a", "b"} {
			replicas = append(replicas, r.Start(onlyDeclared("POD_NAME", name)))
		}
		for _, p := range replicas {
			p.WaitReady(time.Minute)
		}
		agreed(t, 30*time.Second, replicas...)
		fleet.Eventually(t, converge, func() string {
			for _, p := range replicas {
				if targets := p.Status().Targets; len(targets) != 1 || !targets[0].InStep {
					return p.Name + " is not in step"
				}
			}
			return ""
		})
		return replicas
	}
	// This leaves out the replicas' own objects, which they write to the last moment.
	foreign := func() map[string]map[string]int {
		all := o.texts()
		maps.DeleteFunc(all, func(id string, _ map[string]int) bool {
			return strings.HasPrefix(id, "default/v1/ConfigMap/k8s-vectordb-sync-") || strings.Contains(id, "/ResourceSyncConfig/")
		})
		return all
	}
	sent := func() (n, ids int) {
		for _, texts := range foreign() {
			ids++
			for _, times := range texts {
				n += times
			}
		}
		return n, ids
	}
	replicas := start()
	o.waitEqual(t, r, sees{}, converge)
	first, ids := sent()
	for round := range 3 {
		for _, p := range replicas {
			if code := p.Stop(time.Minute); code != 0 {
				t.Errorf("exit code %d", code)
			}
		}
		before, _ := sent()
		mark := len(o.receiver.Requests(0))
		replicas = start()
		o.waitEqual(t, r, sees{}, converge)
		if after, _ := sent(); after != before {
			t.Errorf("restart %d has sent %d upserts", round, after-before)
			for _, rec := range o.receiver.Requests(0)[mark:] {
				for _, u := range rec.Upserts {
					t.Logf("by %s: %s", rec.Sender, u.ID)
				}
			}
		}
		resync(t, replicas[round%2])
		after, _ := sent()
		t.Logf("restart %d: 0 upserts; then a resync of %d", round, after-before)
		if after-before < ids {
			t.Errorf("a resync has sent %d upserts of %d objects", after-before, ids)
		}
	}
	for id, texts := range foreign() {
		if len(texts) > 1 {
			t.Errorf("%s was sent in %d ways: %v", id, len(texts), texts)
		}
	}
	if n := o.receiver.Stats().Resyncs; n > 0 {
		t.Errorf("%d payloads were marked isResync", n)
	}
	t.Logf("%d upserts of %d objects at first", first, ids)
}

// resync has everything sent again, and waits for its end.
func resync(t *testing.T, p *fleet.Replica) {
	t.Helper()
	resp, err := http.Post("http://"+p.API+"/api/v1/resync", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("resync: %s", resp.Status)
	}
}
