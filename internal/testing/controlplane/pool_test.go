//go:build integration

package controlplane_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

var (
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
)

// TestShared_ATestThatLeavesEverythingInDisorder_TheNextFindsItAsNew makes two tests of its subtests, so that the
// second has the control plane of the first.
func TestShared_ATestThatLeavesEverythingInDisorder_TheNextFindsItAsNew(t *testing.T) {
	var address, token string
	t.Run("Disorder", func(t *testing.T) {
		c := controlplane.ForTest(t, controlplane.Options{AuditLog: true})
		address = c.Address()
		token = disorder(t, c)
	})
	want := appearance(t, controlplane.ForTest(t, controlplane.Options{Fresh: true}))
	for _, name := range []string{"First", "Second"} { // which must find nothing of the first one's
		t.Run(name, func(t *testing.T) {
			c := controlplane.ForTest(t, controlplane.Options{})
			if c.Address() != address {
				t.Fatalf("the control plane at %s, want that of the test before, at %s", c.Address(), address)
			}
			got := appearance(t, c)
			for _, path := range slices.Sorted(maps.Keys(want)) {
				if !reflect.DeepEqual(got[path], want[path]) {
					t.Errorf("%s after a test:\n%s\nwant what a new one shows:\n%s", path, indent(got[path]), indent(want[path]))
				}
			}
			for _, path := range slices.Sorted(maps.Keys(got)) {
				if _, ok := want[path]; !ok {
					t.Errorf("%s, want nothing there: a new one has none", path)
				}
			}
			useAgain(t, c, token)
		})
	}
}

// disorder leaves all that a test may leave, and more, and returns the token of a service account.
func disorder(t *testing.T, c *controlplane.ControlPlane) string {
	t.Helper()
	admin, dyn := clientFor(t, c.RESTConfig()), dynamicFor(t, c)
	ctx := t.Context()
	createNamespace(t, admin, "team")
	createNamespace(t, admin, "going")
	none := metav1.DeleteOptions{}
	must(t, admin.CoreV1().Namespaces().Delete(ctx, "going", none)) // It stays Terminating for ever.

	widgets := define(t, dyn, "Namespaced", "v1", "v1beta1")
	for i := range 20 {
		o := widget("w"+fmt.Sprint(i), "v1")
		o.SetFinalizers([]string{"example.com/never"})
		created(t)(dyn.Resource(widgets).Namespace("team").Create(ctx, o, metav1.CreateOptions{}))
	}
	must(t, dyn.Resource(widgets).Namespace("team").Delete(ctx, "w3", none))
	must(t, dyn.Resource(definitions).Delete(ctx, "widgets.example.com", none)) // It waits for the finalizers.

	for i := range 300 {
		created(t)(admin.CoreV1().ConfigMaps("team").Create(ctx, configMap(fmt.Sprint("c", i)), metav1.CreateOptions{}))
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.96.7.7", Ports: []corev1.ServicePort{{Port: 80, NodePort: 31_777}},
	}}
	created(t)(admin.CoreV1().Services("team").Create(ctx, service, metav1.CreateOptions{}))
	created(t)(admin.CoreV1().Events("team").Create(ctx, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Name: "told"}, InvolvedObject: corev1.ObjectReference{Namespace: "team"},
	}, metav1.CreateOptions{}))
	created(t)(admin.CoreV1().ServiceAccounts("team").Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))
	robot, err := c.ServiceAccountRESTConfig(ctx, "team", "robot")
	must(t, err)

	created(t)(admin.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "all"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "alice"}},
	}, metav1.CreateOptions{}))
	created(t)(dyn.Resource(apiServices).Create(ctx, object(t, `
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.nobody.example.com}
spec:
  group: nobody.example.com
  version: v1
  groupPriorityMinimum: 100
  versionPriority: 100
  insecureSkipTLSVerify: true
  service: {namespace: team, name: web}
`), metav1.CreateOptions{}))

	// It also deletes or changes objects that a new API server has made itself.
	must(t, admin.CoreV1().Services("default").Delete(ctx, "kubernetes", none))
	must(t, admin.RbacV1().ClusterRoles().Delete(ctx, "view", none))
	must(t, admin.RbacV1().RoleBindings("kube-system").Delete(ctx, "system::leader-locking-kube-scheduler", none))
	must(t, admin.FlowcontrolV1().FlowSchemas().Delete(ctx, "global-default", none))
	must(t, dyn.Resource(apiServices).Delete(ctx, "v1.apps", none))
	public, err := admin.CoreV1().Namespaces().Get(ctx, "kube-public", metav1.GetOptions{})
	must(t, err)
	public.Labels["changed"] = "yes"
	created(t)(admin.CoreV1().Namespaces().Update(ctx, public, metav1.UpdateOptions{}))
	return robot.BearerToken
}

// useAgain makes the objects of the test before, in other shapes, and ends in a disorder of its own.
func useAgain(t *testing.T, c *controlplane.ControlPlane, token string) {
	t.Helper()
	admin, dyn := clientFor(t, c.RESTConfig()), dynamicFor(t, c)
	ctx := t.Context()
	alice, err := c.RESTConfigFor("alice")
	must(t, err)
	if _, err := clientFor(t, alice).CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the rights that a test gave to alice: %v, want forbidden", err)
	}
	old := c.RESTConfig()
	old.CertData, old.KeyData, old.BearerToken = nil, nil, token
	gomega.NewWithT(t).Eventually(func() bool { // The API server remembers a good token for ten seconds.
		_, err := clientFor(t, old).CoreV1().Secrets("").List(ctx, metav1.ListOptions{})
		return apierrors.IsUnauthorized(err)
	}).WithTimeout(30*time.Second).Should(gomega.BeTrue(), "the token of a service account that is gone is refused")

	widgets := define(t, dyn, "Cluster", "v2", "v1")
	created(t)(dyn.Resource(widgets).Create(ctx, widget("w1", "v2"), metav1.CreateOptions{}))
	list, err := dyn.Resource(widgets.GroupResource().WithVersion("v1")).List(ctx, metav1.ListOptions{})
	must(t, err)
	if len(list.Items) != 1 {
		t.Errorf("%d widgets, want the one that this test has made", len(list.Items))
	}
	createNamespace(t, admin, "team")
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "other"}, Spec: corev1.ServiceSpec{
		Type: corev1.ServiceTypeNodePort, ClusterIP: "10.96.7.7", Ports: []corev1.ServicePort{{Port: 443, NodePort: 31_777}},
	}}
	created(t)(admin.CoreV1().Services("team").Create(ctx, service, metav1.CreateOptions{}))
	created(t)(admin.CoreV1().ServiceAccounts("team").Create(ctx,
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}))
	robot, err := c.ServiceAccountRESTConfig(ctx, "team", "robot")
	must(t, err)
	if _, err := clientFor(t, robot).CoreV1().Secrets("").List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("a token of the new service account: %v, want forbidden: the API server knows it", err)
	}
}

// TestShared_ATestSeesOnlyItsOwnTime holds for methods that report since the beginning.
func TestShared_ATestSeesOnlyItsOwnTime(t *testing.T) {
	var address string
	write := func(t *testing.T, c *controlplane.ControlPlane, agent string) {
		t.Helper()
		config := c.RESTConfig()
		config.UserAgent = agent
		created(t)(clientFor(t, config).CoreV1().ConfigMaps("default").Create(t.Context(), configMap(agent), metav1.CreateOptions{}))
	}
	t.Run("One", func(t *testing.T) {
		c := controlplane.ForTest(t, controlplane.Options{AuditLog: true})
		address = c.Address()
		write(t, c, "one")
	})
	t.Run("Two", func(t *testing.T) {
		c := controlplane.ForTest(t, controlplane.Options{AuditLog: true})
		if c.Address() != address {
			t.Fatalf("the control plane at %s, want that of the test before, at %s", c.Address(), address)
		}
		write(t, c, "two")
		events, err := c.AuditEvents()
		must(t, err)
		agents := map[string]int{}
		for _, e := range events {
			if e.Resource == "configmaps" && e.Verb == "create" {
				agents[e.UserAgent]++
			}
		}
		if agents["one"] != 0 || agents["two"] != 1 {
			t.Errorf("ConfigMaps in the audit log, by who has made them: %v, want that of two alone", agents)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var first string
		must(t, c.Follow(ctx, "/registry/configmaps/default/", 1, func(w controlplane.Write) {
			if first == "" {
				first = w.Key
			}
			cancel()
		}))
		if first != "/registry/configmaps/default/two" {
			t.Errorf("the first write of the history is of %s, want that of two", first)
		}
	})
}

func TestShared_WhatNobodyCanPutBack_IsStopped(t *testing.T) {
	var dir string
	t.Run("Spent", func(t *testing.T) {
		c := controlplane.ForTest(t, controlplane.Options{})
		dir = filepath.Dir(c.Kubeconfig())
		for _, does := range []struct {
			what string
			do   func() error
		}{
			{"a pause", c.PauseAPIServer},
			{"its end", c.ResumeAPIServer},
			{"a compaction", func() error { _, err := c.Compact(t.Context()); return err }},
			{"a backup", func() error { _, err := c.Backup(t.Context()); return err }},
			{"a stop", func() error { return c.StopAPIServer(true) }},
		} {
			must(t, does.do())
			if !controlplane.Spent(c) {
				t.Errorf("after %s it would be put back, want it stopped", does.what)
			}
		}
		must(t, c.StartAPIServer(t.Context()))
		must(t, c.PauseAPIServer())
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after a test that paused it, its directory is still there (%v)", err)
	}
}

// appearance returns everything that an API server shows, by path: its types, and each object in each version. It
// leaves out differences between any two control planes.
func appearance(t *testing.T, c *controlplane.ControlPlane) map[string]any {
	t.Helper()
	client, err := rest.HTTPClientFor(c.RESTConfig())
	must(t, err)
	t.Cleanup(client.CloseIdleConnections)
	get := func(path string) map[string]any {
		resp, err := client.Get(c.RESTConfig().Host + path)
		must(t, err)
		defer func() { _ = resp.Body.Close() }()
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s\n%s", path, resp.Status, body)
		}
		var content map[string]any
		must(t, json.Unmarshal(body, &content))
		return content
	}
	all := map[string]any{"/apis": get("/apis"), "/openapi/v2": get("/openapi/v2")["definitions"]}
	var schemas []string
	for path := range get("/openapi/v3")["paths"].(map[string]any) {
		schemas = append(schemas, path)
	}
	slices.Sort(schemas)
	all["/openapi/v3"] = schemas
	_, types, err := clientFor(t, c.RESTConfig()).Discovery().ServerGroupsAndResources()
	must(t, err)
	for _, version := range types {
		root := "/apis/"
		if !strings.Contains(version.GroupVersion, "/") {
			root = "/api/"
		}
		all[root+version.GroupVersion] = get(root + version.GroupVersion)
		for i := range version.APIResources {
			r := &version.APIResources[i]
			if !slices.Contains(r.Verbs, "watch") {
				continue
			}
			path := root + version.GroupVersion + "/" + r.Name
			for _, item := range get(path)["items"].([]any) {
				o := &unstructured.Unstructured{Object: item.(map[string]any)}
				if r.Name == "leases" && strings.HasPrefix(o.GetName(), "apiserver-") {
					continue
				}
				all[path+"/"+o.GetNamespace()+"/"+o.GetName()] = portable(o)
			}
		}
	}
	return all
}

// portable removes values from an object that two control planes never have in common: times, versions, certificates
// and ports.
func portable(o *unstructured.Unstructured) map[string]any {
	o.SetUID("")
	o.SetResourceVersion("")
	o.SetManagedFields(nil)
	o.SetCreationTimestamp(metav1.Time{})
	if o.GetName() == "extension-apiserver-authentication" {
		delete(o.Object, "data")
	}
	if o.GetName() == "kubernetes" && o.GetNamespace() == "default" {
		unstructured.RemoveNestedField(o.Object, "spec", "ports") // the port of the API server
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, c := range conditions {
		delete(c.(map[string]any), "lastTransitionTime")
	}
	if conditions != nil {
		_ = unstructured.SetNestedSlice(o.Object, conditions, "status", "conditions")
	}
	return o.Object
}

// define makes the definition of widgets and waits until they are served.
func define(t *testing.T, dyn dynamic.Interface, scope string, versions ...string) schema.GroupVersionResource {
	t.Helper()
	var list []string
	for i, version := range versions {
		list = append(list, fmt.Sprintf(
			"{name: %s, served: true, storage: %t, schema: {openAPIV3Schema: {type: object, properties: {%s: {type: string}}}}}", version, i == 0, version))
	}
	created(t)(dyn.Resource(definitions).Create(t.Context(), object(t, fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: %s
  names: {kind: Widget, plural: widgets}
  versions: [%s]
`, scope, strings.Join(list, ", "))), metav1.CreateOptions{}))
	gvr := schema.GroupVersionResource{Group: "example.com", Version: versions[0], Resource: "widgets"}
	gomega.NewWithT(t).Eventually(func() error {
		_, err := dyn.Resource(gvr).List(t.Context(), metav1.ListOptions{})
		return err
	}).WithTimeout(20 * time.Second).Should(gomega.Succeed())
	return gvr
}

// widget has one field, which belongs to the schema of its version.
func widget(name, version string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "example.com/" + version, "kind": "Widget", "metadata": map[string]any{"name": name}, version: "set",
	}}
}

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

func object(t *testing.T, manifest string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	must(t, yaml.Unmarshal([]byte(manifest), &o.Object))
	return o
}

func dynamicFor(t *testing.T, c *controlplane.ControlPlane) dynamic.Interface {
	t.Helper()
	transport, err := rest.HTTPClientFor(c.RESTConfig())
	must(t, err)
	t.Cleanup(transport.CloseIdleConnections)
	dyn, err := dynamic.NewForConfigAndClient(c.RESTConfig(), transport)
	must(t, err)
	return dyn
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// created fails the test if an object was not made.
func created(t *testing.T) func(any, error) {
	return func(_ any, err error) {
		t.Helper()
		must(t, err)
	}
}

func indent(v any) string {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err.Error()
	}
	return string(text)
}
