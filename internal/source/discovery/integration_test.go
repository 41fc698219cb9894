//go:build integration

package discovery_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/onsi/gomega"
	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientdiscovery "k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

func init() {
	mayLeak = []goleak.Option{
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"),
	}
}

// patience bounds every wait for a real API server on a busy machine. On an idle machine, discovery tells a new
// type after half a second.
const patience = 30 * time.Second

// journal records the Changes.
type journal struct {
	mu       sync.Mutex
	last     discovery.Change
	removed  []string
	migrated []string
}

func (j *journal) apply(c discovery.Change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = c
	for _, t := range c.Removed {
		j.removed = append(j.removed, t.String())
	}
	for _, m := range c.Migrated {
		j.migrated = append(j.migrated, m.Old.String()+" -> "+m.New.String())
	}
}

func (j *journal) types() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	names := make([]string, 0, len(j.last.Types))
	for _, t := range j.last.Types {
		names = append(names, t.String())
	}
	return names
}

func (j *journal) get(f func(*journal) any) func() any {
	return func() any {
		j.mu.Lock()
		defer j.mu.Unlock()
		return f(j)
	}
}

func discovering(t *testing.T, config *rest.Config, opts discovery.Options) (*discovery.Discovery, *journal) {
	t.Helper()
	disco, err := clientdiscovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	client, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	d, j := discovery.New(disco, client, opts), &journal{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, j.apply) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return d, j
}

// gizmos is a CustomResourceDefinition in v1beta1, and in v1 when it is served.
const gizmos = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"gizmos.example.com"},
	"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"gizmos","singular":"gizmo","kind":"Gizmo","listKind":"GizmoList"},
	"versions":[
		{"name":"v1","served":%t,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}},
		{"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}}]}}`

// nowhere is an aggregated API whose server does not exist.
const nowhere = `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.nowhere.example.com"},
	"spec":{"group":"nowhere.example.com","version":"v1","groupPriorityMinimum":100,"versionPriority":100,
	"insecureSkipTLSVerify":true,"service":{"namespace":"default","name":"nowhere"}}}`

func TestRealAPIServer(t *testing.T) {
	cp := controlplane.ForTest(t, controlplane.Options{})
	admin, err := dynamic.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	create := func(t *testing.T, gvr schema.GroupVersionResource, manifest string) {
		t.Helper()
		o := &unstructured.Unstructured{}
		if err := json.Unmarshal([]byte(manifest), &o.Object); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.Resource(gvr).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	filter, err := resource.NewFilter(nil, append(resource.DefaultExcludes(), "widgits"))
	if err != nil {
		t.Fatal(err)
	}
	g := gomega.NewWithT(t)
	d, j := discovering(t, cp.RESTConfig(), discovery.Options{Filter: filter})

	g.Eventually(j.types, patience).Should(gomega.ContainElements(
		"pods.v1", "deployments.v1.apps", "horizontalpodautoscalers.v2.autoscaling", "customresourcedefinitions.v1.apiextensions.k8s.io"))
	g.Expect(j.types()).NotTo(gomega.ContainElement(gomega.Or(gomega.HavePrefix("events."), gomega.HavePrefix("horizontalpodautoscalers.v1."),
		gomega.HavePrefix("bindings."), gomega.ContainSubstring("/"))))
	g.Expect(j.get(func(j *journal) any { return j.last.Unknown })()).To(gomega.Equal([]string{"widgits"}))
	g.Eventually(func() bool { return d.Status().Watching }, patience).Should(gomega.BeTrue())

	before := time.Now()
	create(t, crds, fmt.Sprintf(gizmos, false))
	g.Eventually(j.types, patience, time.Millisecond).Should(gomega.ContainElement("gizmos.v1beta1.example.com"))
	t.Logf("a new type was told about after %s", time.Since(before))

	patch := `[{"op":"replace","path":"/spec/versions/0/served","value":true},{"op":"replace","path":"/spec/versions/1/served","value":false}]`
	if _, err := admin.Resource(crds).Patch(t.Context(), "gizmos.example.com", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	before = time.Now()
	g.Eventually(j.get(func(j *journal) any { return j.migrated }), patience, time.Millisecond).Should(
		gomega.Equal([]string{"gizmos.v1beta1.example.com -> gizmos.v1.example.com"}))
	t.Logf("a migration was told about after %s", time.Since(before))

	create(t, services, nowhere)
	g.Eventually(j.get(func(j *journal) any { return j.last.Failed }), patience).Should(gomega.HaveKey("nowhere.example.com/v1"))
	g.Expect(j.types()).To(gomega.ContainElements("pods.v1", "gizmos.v1.example.com"))
	g.Expect(j.get(func(j *journal) any { return j.last.Complete })()).To(gomega.BeFalse())

	before = time.Now()
	if err := admin.Resource(crds).Delete(t.Context(), "gizmos.example.com", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	g.Eventually(j.get(func(j *journal) any { return j.removed }), patience, time.Millisecond).Should(
		gomega.Equal([]string{"gizmos.v1.example.com"}), "although another group fails")
	t.Logf("a deleted type was told about after %s", time.Since(before))
	g.Expect(slices.Contains(j.types(), "gizmos.v1.example.com")).To(gomega.BeFalse())

	if err := admin.Resource(services).Delete(t.Context(), "v1.nowhere.example.com", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	g.Eventually(j.get(func(j *journal) any { return j.last.Complete }), patience).Should(gomega.BeTrue())

	t.Run("everything is kept while the API server is down", func(t *testing.T) {
		g := gomega.NewWithT(t)
		n := len(j.types())
		if err := cp.StopAPIServer(true); err != nil {
			t.Fatal(err)
		}
		probe, probed := discovering(t, cp.RESTConfig(), discovery.Options{Known: []resource.Type{podType}})
		g.Eventually(probed.types, patience).Should(gomega.Equal([]string{"pods.v1"}))
		g.Expect(probe.Status().Failed).To(gomega.HaveLen(1))
		if err := cp.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.Eventually(probed.types, patience).Should(gomega.ContainElement("deployments.v1.apps"))
		g.Expect(j.types()).To(gomega.HaveLen(n))
		g.Expect(j.removed).To(gomega.HaveLen(1))
	})

	t.Run("without rights to definitions", func(t *testing.T) {
		g := gomega.NewWithT(t)
		config, err := cp.RESTConfigFor("nobody", "system:authenticated") // this user may discover, and nothing else
		if err != nil {
			t.Fatal(err)
		}
		d, j := discovering(t, config, discovery.Options{Interval: 500 * time.Millisecond})
		g.Eventually(j.types, patience).Should(gomega.ContainElement("pods.v1"))
		g.Expect(d.Status().Watching).To(gomega.BeFalse())
		create(t, crds, fmt.Sprintf(gizmos, true))
		g.Eventually(j.types, patience).Should(gomega.ContainElement("gizmos.v1.example.com"))
	})
}
