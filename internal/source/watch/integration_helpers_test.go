//go:build integration

package watch_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

// cluster is a Sink that keeps the objects, as an index does, and the versions of every list.
type cluster struct {
	mu      sync.Mutex
	objects map[string]resource.Record
	lists   map[resource.Type]int
}

func newCluster() *cluster {
	return &cluster{objects: map[string]resource.Record{}, lists: map[resource.Type]int{}}
}

func (c *cluster) Replace(t resource.Type, rs []resource.Record, _ uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists[t]++
	prefix := t.String() + " "
	maps.DeleteFunc(c.objects, func(k string, _ resource.Record) bool { return strings.HasPrefix(k, prefix) })
	for _, r := range rs {
		c.objects[prefix+r.Namespace+"/"+r.Name] = r
	}
}

func (c *cluster) Upsert(t resource.Type, r resource.Record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[t.String()+" "+r.Namespace+"/"+r.Name] = r
}

func (c *cluster) Delete(t resource.Type, namespace, name string, _ uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.objects, t.String()+" "+namespace+"/"+name)
}

func (c *cluster) Leave(t resource.Type, namespace, name string, version uint64) {
	c.Delete(t, namespace, name, version)
}

func (c *cluster) Bookmark(resource.Type, uint64) {}

// of returns the names of a type's objects in a namespace, sorted.
func (c *cluster) of(t resource.Type, namespace string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := []string{}
	for k := range c.objects {
		if name, ok := strings.CutPrefix(k, t.String()+" "+namespace+"/"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *cluster) get(t resource.Type, name string) resource.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.objects[t.String()+" "+name]
}

func (c *cluster) listed(t resource.Type) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lists[t]
}

// wire notes the media types of requests and answers.
type wire struct {
	next  http.RoundTripper
	mu    sync.Mutex
	types map[string]bool
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusOK {
		w.mu.Lock()
		defer w.mu.Unlock()
		first, _, _ := strings.Cut(r.Header.Get("Accept"), ";")
		last, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
		w.types[first+" -> "+last] = true
	}
	return resp, err
}

func metadataClient(t testing.TB, config *rest.Config) metadata.Interface {
	t.Helper()
	client, err := metadata.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// running runs a Manager until the test ends.
func running(t testing.TB, client metadata.Interface, opts watch.Options, types ...resource.Type) (*watch.Manager, *cluster) {
	t.Helper()
	c := newCluster()
	m := watch.New(client, c, opts)
	m.Set(types)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return m, c
}

func phase(m *watch.Manager, t resource.Type) string {
	for _, s := range m.Status() {
		if s.Type == t {
			return fmt.Sprintf("%s %s", s.Phase, s.Reason)
		}
	}
	return "unknown"
}

type admin struct {
	dynamic    dynamic.Interface
	kubernetes kubernetes.Interface
}

func newAdmin(t testing.TB, cp *controlplane.ControlPlane) admin {
	t.Helper()
	d, err := dynamic.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	k, err := kubernetes.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return admin{d, k}
}

func (a admin) create(t testing.TB, gvr schema.GroupVersionResource, namespace, manifest string) {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := json.Unmarshal([]byte(manifest), &o.Object); err != nil {
		t.Fatal(err)
	}
	if _, err := a.dynamic.Resource(gvr).Namespace(namespace).Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func (a admin) configMap(t testing.TB, name string) {
	t.Helper()
	a.create(t, configMaps.GVR(), "default", fmt.Sprintf(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":%q,
		"labels":{"app":%[1]q},
		"annotations":{"description":"what %[1]s is for","kubectl.kubernetes.io/last-applied-configuration":"{\"data\":\"secret\"}"}},
		"data":{"key":"value"}}`, name))
}

func (a admin) deleteConfigMap(t testing.TB, name string) {
	t.Helper()
	if err := a.dynamic.Resource(configMaps.GVR()).Namespace("default").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}

// definition is a CustomResourceDefinition of widgets in v1 and v1beta1.
const definition = `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"widgets.example.com"},
	"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"widgets","singular":"widget","kind":"Widget","listKind":"WidgetList"},
	"versions":[
		{"name":"v1","served":true,"storage":true,"schema":{"openAPIV3Schema":{"type":"object"}}},
		{"name":"v1beta1","served":true,"storage":false,"schema":{"openAPIV3Schema":{"type":"object"}}}],
	"conversion":%s}}`

const brokenWebhook = `{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],
	"clientConfig":{"url":"https://127.0.0.1:1/convert"}}}`
