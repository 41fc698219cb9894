//go:build integration

package watch_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/onsi/gomega"
	"go.uber.org/goleak"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
)

func init() {
	mayLeak = []goleak.Option{
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"),
	}
}

// patience bounds every wait for a real API server on a busy machine.
const patience = 60 * time.Second

var (
	configMaps = resource.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}
	crdGVR     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// TestRealAPIServer proves the assumptions of the other tests' fakes against etcd and kube-apiserver.
func TestRealAPIServer(t *testing.T) {
	cp := controlplane.ForTest(t, controlplane.Options{})
	a := newAdmin(t, cp)
	keep, err := resource.NewAnnotationFilter(resource.DefaultAnnotations(), nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("protobuf on the wire, and nothing but what is kept in records", func(t *testing.T) {
		g := gomega.NewWithT(t)
		a.configMap(t, "proto")
		a.create(t, crdGVR, "", fmt.Sprintf(definition, `{"strategy":"None"}`))
		config := cp.RESTConfig()
		seen := &wire{types: map[string]bool{}}
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { seen.next = next; return seen })
		_, c := running(t, metadataClient(t, config), watch.Options{Keep: resource.Selection{Annotations: keep}}, configMaps, widgets)
		g.Eventually(func() []string { return c.of(configMaps, "default") }, patience).Should(gomega.ContainElement("proto"))
		g.Eventually(func() int { return c.listed(widgets) }, patience).Should(gomega.BeNumerically(">", 0))
		a.create(t, widgets.GVR(), "default", `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w","annotations":{"description":"d"}}}`)
		g.Eventually(func() []string { return c.of(widgets, "default") }, patience).Should(gomega.Equal([]string{"w"}))

		r := c.get(configMaps, "default/proto")
		content, err := r.Body.Content()
		if err != nil {
			t.Fatal(err)
		}
		want := resource.Content{
			Labels:      map[string]string{"app": "proto"},
			Annotations: map[string]string{"description": "what proto is for"},
			CreatedAt:   content.CreatedAt, UpdatedAt: content.UpdatedAt,
		}
		if diff := cmp.Diff(want, content); diff != "" || content.CreatedAt.IsZero() || r.ResourceVersion == 0 {
			t.Errorf("record of version %d (-want +got):\n%s", r.ResourceVersion, diff)
		}
		if strings.Contains(string(r.Body), "last-applied") || strings.Contains(string(r.Body), "f:labels") || len(r.Body) > 100 {
			t.Errorf("the body has more than what is kept: %q", r.Body)
		}
		seen.mu.Lock()
		defer seen.mu.Unlock()
		protobuf := "application/vnd.kubernetes.protobuf"
		if diff := cmp.Diff(map[string]bool{protobuf + " -> " + protobuf: true}, seen.types); diff != "" {
			t.Errorf("media types of requests and answers (-want +got):\n%s", diff)
		}
	})

	t.Run("forbidden types wait for the grant and hold nobody up", func(t *testing.T) {
		g := gomega.NewWithT(t)
		config, err := cp.RESTConfigFor("reader")
		if err != nil {
			t.Fatal(err)
		}
		a.grant(t, "reader", "nodes")
		m, c := running(t, metadataClient(t, config), watch.Options{Starts: 1}, configMaps, nodes)
		g.Eventually(m.Settled, patience).Should(gomega.BeTrue())
		g.Expect(phase(m, configMaps)).To(gomega.Equal("failing forbidden"))
		g.Expect(m.HasSynced(nodes)).To(gomega.BeTrue())
		g.Expect(c.listed(configMaps)).To(gomega.BeZero())
		a.grant(t, "reader", "configmaps")
		g.Eventually(func() string { return phase(m, configMaps) }, patience).Should(gomega.HavePrefix("synced"))
	})

	t.Run("a broken conversion webhook deletes nothing and is recovered from", func(t *testing.T) {
		g := gomega.NewWithT(t)
		old := resource.Type{Group: "example.com", Version: "v1beta1", Resource: "widgets", Kind: "Widget", Namespaced: true}
		m, c := running(t, metadataClient(t, cp.RESTConfig()), watch.Options{}, old)
		g.Eventually(func() []string { return c.of(old, "default") }, patience).Should(gomega.Equal([]string{"w"}))
		a.conversion(t, brokenWebhook)
		g.Eventually(func() string { return phase(m, old) }, patience).Should(gomega.HavePrefix("failing"))
		g.Expect(c.of(old, "default")).To(gomega.Equal([]string{"w"}))
		late, none := running(t, metadataClient(t, cp.RESTConfig()), watch.Options{}, old)
		g.Eventually(func() string { return phase(late, old) }, patience).Should(gomega.HavePrefix("failing"))
		t.Logf("failing as: %v, and from the start as: %v", m.Status()[0].Err, late.Status()[0].Err)
		g.Expect(none.listed(old)).To(gomega.BeZero())
		a.create(t, widgets.GVR(), "default", `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"x"}}`)
		a.conversion(t, `{"strategy":"None","webhook":null}`)
		g.Eventually(func() []string { return c.of(old, "default") }, patience).Should(gomega.Equal([]string{"w", "x"}))
		g.Expect(phase(m, old)).To(gomega.HavePrefix("synced"))
		g.Eventually(func() []string { return none.of(old, "default") }, patience).Should(gomega.Equal([]string{"w", "x"}))
	})

	t.Run("pages of now and of an exact version", func(t *testing.T) {
		for i := range 5 {
			a.configMap(t, fmt.Sprintf("page-%d", i))
		}
		l := watch.NewLister(metadataClient(t, cp.RESTConfig()), resource.Selection{Annotations: keep}, watch.NamespaceFilter{})
		list := func(exact uint64) ([]string, uint64, int, error) {
			var names []string
			pages := 0
			version, err := l.Pages(t.Context(), configMaps, watch.ListOptions{Namespace: "default", PageSize: 2, Exact: exact},
				func(rs []resource.Record) error {
					pages++
					for _, r := range rs {
						if strings.HasPrefix(r.Name, "page-") {
							names = append(names, r.Name)
						}
					}
					return nil
				})
			return names, version, pages, err
		}
		before, version, pages, err := list(0)
		if err != nil || pages < 3 || version == 0 {
			t.Fatalf("listed %d pages of version %d: %v, want at least 3", pages, version, err)
		}
		a.deleteConfigMap(t, "page-0")
		after, _, _, err := list(0)
		if err != nil || len(after) != 4 {
			t.Errorf("listed %v: %v, want 4 names after a deletion", after, err)
		}
		again, exact, _, err := list(version)
		if err != nil || exact != version {
			t.Errorf("listed exactly version %d, got %d: %v", version, exact, err)
		}
		if diff := cmp.Diff(before, again); diff != "" || len(before) != 5 {
			t.Errorf("the exact list differs from the first one (-want +got):\n%s", diff)
		}
	})

	t.Run("deletions of the past, also in a type in which nothing happens", func(t *testing.T) {
		l := watch.NewLister(metadataClient(t, cp.RESTConfig()), resource.Selection{Annotations: keep}, watch.NamespaceFilter{})
		nothing := func([]resource.Record) error { return nil }
		after, err := l.Pages(t.Context(), configMaps, watch.ListOptions{}, nothing)
		if err != nil {
			t.Fatal(err)
		}
		a.configMap(t, "brief")
		a.deleteConfigMap(t, "brief")
		a.configMap(t, "stays")
		for typ, want := range map[resource.Type]string{configMaps: "default/brief ", widgets: ""} {
			until, err := l.Pages(t.Context(), typ, watch.ListOptions{}, nothing)
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := l.Deletions(t.Context(), typ, after, until, func(d watch.Deletion) { got += d.Namespace + "/" + d.Name + " " }); err != nil || got != want {
				t.Errorf("deletions of %s: %q, %v; want %q", typ, got, err, want)
			}
		}
		if err := cp.StopAPIServer(false); err != nil { // The next process begins with an empty cache.
			t.Fatal(err)
		}
		if err := cp.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, typ := range []resource.Type{configMaps, widgets} {
			if err := l.Deletions(t.Context(), typ, after, after+1, func(watch.Deletion) {}); !errors.Is(err, watch.ErrExpired) {
				t.Errorf("deletions of %s that the server has forgotten: %v, want ErrExpired", typ, err)
			}
		}
	})

	t.Run("a compacted version is listed anew, with the deletions", func(t *testing.T) {
		g := gomega.NewWithT(t)
		line, err := netfault.New(cp.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = line.Close() }()
		m, c := running(t, metadataClient(t, cp.RESTConfigVia(line.Address())), watch.Options{Keep: resource.Selection{Annotations: keep}}, configMaps)
		g.Eventually(func() []string { return c.of(configMaps, "default") }, patience).Should(gomega.ContainElement("page-1"))
		exact := m.Status()[0].ResourceVersion
		line.Reset()
		g.Eventually(func() string { return phase(m, configMaps) }, patience).Should(gomega.Equal("failing unavailable"))
		a.deleteConfigMap(t, "page-1")
		a.configMap(t, "newcomer")
		if _, err := cp.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A running server would answer from its cache for a while.
		if err := cp.StopAPIServer(false); err != nil {
			t.Fatal(err)
		}
		if err := cp.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		g.Expect(c.of(configMaps, "default")).To(gomega.ContainElement("page-1"), "a failing watch deletes nothing")
		line.Mend()
		g.Eventually(func() []string { return c.of(configMaps, "default") }, patience).Should(
			gomega.And(gomega.ContainElement("newcomer"), gomega.Not(gomega.ContainElement("page-1"))))
		g.Expect(c.listed(configMaps)).To(gomega.Equal(2))
		g.Expect(phase(m, configMaps)).To(gomega.HavePrefix("synced"))

		l := watch.NewLister(metadataClient(t, cp.RESTConfig()), resource.Selection{Annotations: keep}, watch.NamespaceFilter{})
		_, err = l.Pages(t.Context(), configMaps, watch.ListOptions{Exact: exact}, func([]resource.Record) error { return nil })
		if !errors.Is(err, watch.ErrExpired) {
			t.Errorf("listing the compacted version %d returned %v, want ErrExpired", exact, err)
		}
	})

	t.Run("a line that hangs is noticed, and nothing is listed again", func(t *testing.T) {
		g := gomega.NewWithT(t)
		line, err := netfault.New(cp.Address())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = line.Close() }()
		m, c := running(t, metadataClient(t, cp.RESTConfigVia(line.Address())), watch.Options{StaleAfter: 2 * time.Second}, configMaps)
		g.Eventually(func() int { return c.listed(configMaps) }, patience).Should(gomega.Equal(1))
		line.Hang()
		a.configMap(t, "behind-the-line")
		g.Eventually(func() int { return m.Status()[0].Restarts }, patience).Should(gomega.BeNumerically(">=", 2))
		g.Expect(phase(m, configMaps)).To(gomega.Equal("failing unanswered"))
		line.Mend()
		g.Eventually(func() []string { return c.of(configMaps, "default") }, patience).Should(gomega.ContainElement("behind-the-line"))
		g.Expect(c.listed(configMaps)).To(gomega.Equal(1))
	})
}

// grant lets a user list and watch a resource.
func (a admin) grant(t testing.TB, user, plural string) {
	t.Helper()
	name := user + "-" + plural
	_, err := a.kubernetes.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{plural}, Verbs: []string{"list", "watch"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.kubernetes.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// conversion changes how widgets are converted from version to version.
func (a admin) conversion(t testing.TB, conversion string) {
	t.Helper()
	patch := fmt.Sprintf(`{"spec":{"conversion":%s}}`, conversion)
	if _, err := a.dynamic.Resource(crdGVR).Patch(t.Context(), "widgets.example.com", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}
