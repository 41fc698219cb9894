//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// behind starts a replica that reaches the API server through a proxy.
func behind(t *testing.T, r *fleet.Rig) (*netfault.API, map[string]string) {
	t.Helper()
	api, err := netfault.NewAPI(r.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(api.Close)
	kubeconfig, err := api.Kubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return api, map[string]string{"KUBECONFIG": kubeconfig}
}

// definitions are n types, each with objects.
func definitions(t *testing.T, r *fleet.Rig, n, objects int) *workload.Cluster {
	t.Helper()
	fillings.Take(0)
	defer fillings.Give()
	c, err := workload.Apply(t.Context(), r.RESTConfig(), workload.Providers(n, objects))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d types with %d objects made in %v", n, n*objects, c.Took.Round(time.Second))
	return c
}

// TestTypesThatHangCostTheOthersSeconds is the story of 40 types whose API does not answer at all, at the start of a
// replica. It has the machine for itself, for it counts seconds.
func TestTypesThatHangCostTheOthersSeconds(t *testing.T) {
	r := fleet.New(t, fleet.Options{})
	definitions(t, r, 40, 1)
	r.Kube("", "create", "configmap", "healthy")
	api, env := behind(t, r)
	hangs := func(q netfault.Request) bool { return strings.HasSuffix(q.Resource.Group, ".example.com") }
	wake := api.OnRequest(func(q netfault.Request) netfault.Answer {
		if hangs(q) {
			return netfault.AnswerNever
		}
		return netfault.AnswerTruly
	})
	began := time.Now()
	p := r.Start(env)
	fleet.Eventually(t, 20*time.Second, func() string {
		if _, there := r.Documents()["default/v1/ConfigMap/healthy"]; !there {
			return "what does not hang has not arrived"
		}
		return ""
	})
	t.Logf("what does not hang arrived after %v", time.Since(began).Round(100*time.Millisecond))
	p.WaitReady(45*time.Second - time.Since(began))
	t.Logf("ready after %v", time.Since(began).Round(100*time.Millisecond))
	wake()
	api.Disconnect()
	r.WaitEqual(2 * time.Minute)
}

// TestAStreamedListWithoutAnEndIsReadInPages swallows the bookmark that ends the list of one type.
func TestAStreamedListWithoutAnEndIsReadInPages(t *testing.T) {
	beside(t, 40*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "create", "configmap", "one")
	api, env := behind(t, r)
	api.OnEvent(func(e netfault.Event) netfault.Verdict {
		if e.EndsList && e.Request.Resource.Resource == "configmaps" {
			return netfault.Drop
		}
		return netfault.Pass
	})
	began := time.Now()
	p := r.Start(env)
	p.WaitReady(20 * time.Second)
	t.Logf("ready after %v", time.Since(began).Round(100*time.Millisecond))
	r.WaitEqual(time.Minute)
	if n := p.Metric("k8s_vectordb_sync_streams_lists_given_up_total", "stream", "objects"); n != 1 {
		t.Errorf("%v streamed lists were given up, want 1", n)
	}
}

// TestStreamsThatAreOpenAndDeadAreBegunAgain freezes the watches of definitions, of the members' ConfigMaps
// and of one type.
func TestStreamsThatAreOpenAndDeadAreBegunAgain(t *testing.T) {
	besideWaiting(t, 190*time.Second)
	r := fleet.New(t, fleet.Options{})
	api, env := behind(t, r)
	p := r.Start(env)
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)
	dead := []string{"customresourcedefinitions", "configmaps", "secrets"}
	thaw := api.OnEvent(func(e netfault.Event) netfault.Verdict {
		if slices.Contains(dead, e.Request.Resource.Resource) && e.Type != watch.Bookmark {
			return netfault.Freeze
		}
		return netfault.Pass
	})
	r.Kube("", "create", "configmap", "unseen")
	r.Kube("", "create", "secret", "generic", "unseen")
	r.Apply(widgets("v1"))
	fleet.Pause(5 * time.Second)
	thaw() // frozen streams stay frozen
	r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.example.com")
	fill(r, "v1", 5)
	began := time.Now()
	r.WaitEqual(4 * time.Minute)
	t.Logf("equal %v after the streams died", time.Since(began).Round(time.Second))
}

// TestDeadStreamsOfDeclaredReceiversAreBegunAgain freezes the watches of ResourceSyncConfigs and of the Secret with
// the token. Without a new stream, a receiver that is declared meanwhile, and its token, would never be seen.
func TestDeadStreamsOfDeclaredReceiversAreBegunAgain(t *testing.T) {
	besideWaiting(t, 190*time.Second)
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	r.Kube("", "apply", "--server-side", "-f", filepath.Join("..", "..", "config", "crd", "dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml"))
	r.Kube("", "create", "namespace", "dot-ai")
	r.Apply(fmt.Sprintf(declaredObject, r.SyncURL()))
	api, env := behind(t, r)
	maps.Copy(env, map[string]string{"RESOURCE_SYNC_CONFIG": "true", "REST_ENDPOINT": "", "AUTH_TOKEN_FILE": ""})
	p := r.Start(env)
	p.WaitReady(time.Minute)
	says := func(name string) string {
		return r.Kube("", "get", "resourcesyncconfig", name, "-n", "dot-ai", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")].message}`)
	}
	fleet.Eventually(t, converge, func() string {
		if m := says("default-sync"); !strings.Contains(m, "mcp-credentials") {
			return "the object says " + m
		}
		return ""
	})
	var frozen sync.Map
	thaw := api.OnEvent(func(e netfault.Event) netfault.Verdict {
		if slices.Contains([]string{"resourcesyncconfigs", "secrets"}, e.Request.Resource.Resource) && e.Type != watch.Bookmark {
			frozen.Store(e.Request.Resource.Resource, true)
			return netfault.Freeze
		}
		return netfault.Pass
	})
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "--namespace", "dot-ai", "--from-literal=api-key="+fleet.Token)
	r.Apply(strings.Replace(fmt.Sprintf(declaredObject, r.SyncURL()), "default-sync", "second-sync", 1))
	fleet.Eventually(t, converge, func() string {
		for _, resource := range []string{"resourcesyncconfigs", "secrets"} {
			if _, ok := frozen.Load(resource); !ok {
				return "no watch of " + resource + " is frozen"
			}
		}
		return ""
	})
	thaw() // frozen streams stay frozen
	began := time.Now()
	r.WaitEqual(4 * time.Minute)
	fleet.Eventually(t, 4*time.Minute, func() string {
		if says("second-sync") == "" {
			return "a declared receiver is not seen"
		}
		return ""
	})
	t.Logf("in step and seen %v after the streams died", time.Since(began).Round(time.Second))
}

// TestADefinitionThatIsWrittenAllTheTimeCostsNoDiscovery annotates a definition ten times a second.
func TestADefinitionThatIsWrittenAllTheTimeCostsNoDiscovery(t *testing.T) {
	beside(t, 50*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Apply(widgets("v1"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.example.com")
	p := r.Start(nil)
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)
	fleet.Pause(10 * time.Second)
	discoveries := func() float64 { return p.Metric("k8s_vectordb_sync_discovery_runs_total") }
	before, began, writes := discoveries(), time.Now(), 0
	for ; time.Since(began) < 30*time.Second; writes++ {
		r.Kube("", "annotate", "--overwrite", "crd", "widgets.example.com", fmt.Sprintf("written=%d", writes))
	}
	if got := discoveries() - before; got > 1 { // that of the timer
		t.Errorf("%v discoveries for %d annotations, want none", got, writes)
	}
	r.Apply(strings.NewReplacer("widget", "gizmo", "Widget", "Gizmo").Replace(widgets("v1")))
	fleet.Eventually(t, 5*time.Second, func() string {
		for _, typ := range p.Status().Types {
			if typ.Name == "gizmos.v1.example.com" {
				return ""
			}
		}
		return "a new definition is not followed"
	})
	r.WaitEqual(converge)
}

// TestAPreferredVersionThatFlipsMovesNothing lets discovery prefer one version and the other in turn, as the servers
// behind a load balancer do while they are upgraded.
func TestAPreferredVersionThatFlipsMovesNothing(t *testing.T) {
	beside(t, time.Minute)
	r := fleet.New(t, fleet.Options{})
	r.Apply(widgets("v1beta1", "v1"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/widgets.example.com")
	fill(r, "v1", 200)
	api, env := behind(t, r)
	p := r.Start(env)
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)
	mark := r.Mark()
	for i := range 2 {
		flip := api.OnBody(func(q netfault.Request, body []byte) []byte { return preferLast(t, q, body) })
		// This makes the replica ask for discovery.
		r.Apply(strings.NewReplacer("widget", fmt.Sprintf("flip%d", i), "Widget", fmt.Sprintf("Flip%d", i)).Replace(widgets("v1")))
		fleet.Pause(10 * time.Second)
		flip()
		r.Kube("", "delete", "crd", fmt.Sprintf("flip%ds.example.com", i))
		fleet.Pause(10 * time.Second)
	}
	for _, rec := range r.Since(mark) {
		for _, id := range rec.Deletes {
			if strings.Contains(id, "/Widget/") {
				t.Errorf("%s was deleted by a flip", id)
			}
		}
	}
	for id := range sent(r.Since(mark)) {
		if strings.Contains(string(id), "/Widget/") {
			t.Errorf("%s was sent by a flip", id)
		}
	}
	r.WaitEqual(converge)
}

// preferLast reverses the order of versions in aggregated discovery, for the group of the story.
func preferLast(t *testing.T, q netfault.Request, body []byte) []byte {
	if q.Path != "/apis" {
		return body
	}
	var list map[string]any
	if err := json.Unmarshal(body, &list); err != nil {
		t.Errorf("discovery is no JSON: %v", err)
		return body
	}
	items, _ := list["items"].([]any)
	for _, item := range items {
		group, _ := item.(map[string]any)
		meta, _ := group["metadata"].(map[string]any)
		if versions, ok := group["versions"].([]any); ok && meta["name"] == "example.com" {
			slices.Reverse(versions)
		}
	}
	changed, err := json.Marshal(list)
	if err != nil {
		t.Error(err)
		return body
	}
	return changed
}

// TestAThousandDefinitionsFitIntoLittleMemory is the story of a control plane full of providers.
func TestAThousandDefinitionsFitIntoLittleMemory(t *testing.T) {
	longOnly(t)
	r := fleet.New(t, fleet.Options{})
	definitions(t, r, 1000, 3)
	began := time.Now()
	p := r.Start(nil)
	p.WaitReady(time.Minute)
	ready := time.Since(began)
	r.WaitEqual(2 * time.Minute)
	fleet.Pause(30 * time.Second)
	// Garbage that is not yet collected comes and goes.
	var all int64
	const times = 6
	for range times {
		now, _ := p.Resident()
		all += now
		fleet.Pause(5 * time.Second)
	}
	_, peak := p.Resident()
	t.Logf("ready after %v, %.1f MB resident, peak %.1f MB", ready.Round(100*time.Millisecond), float64(all)/times/1e6, float64(peak)/1e6)
	if all/times > 85e6 {
		t.Errorf("%.1f MB resident, want 85 at most", float64(all)/times/1e6)
	}
	if ready > 10*time.Second {
		t.Errorf("ready after %v, want 10 s at most", ready)
	}
}
