//go:build integration

package controlplane_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

func TestControlPlane(t *testing.T) {
	c := controlplane.ForTest(t, controlplane.Options{AuditLog: true})
	admin := clientFor(t, c.RESTConfig())
	t.Run("RestartKeepsDataAddressAndTokens", func(t *testing.T) { testRestart(t, c, admin) })
	t.Run("FollowMissesNothing", func(t *testing.T) { testFollow(t, c, admin) })
	t.Run("CompactForgetsHistory", func(t *testing.T) { testCompact(t, c, admin) })
	t.Run("OthersMayDoOnlyWhatRBACAllows", func(t *testing.T) { testRBAC(t, c, admin) })
	t.Run("PausedServerAnswersNothing", func(t *testing.T) { testPause(t, c, admin) })
	t.Run("AuditCountsEveryRequestOnce", func(t *testing.T) { testAudit(t, c) })
	t.Run("AggregatedAPIIsReached", func(t *testing.T) { testAggregation(t, c) })
}

func testRestart(t *testing.T, c *controlplane.ControlPlane, admin kubernetes.Interface) {
	createNamespace(t, admin, "restart")
	if _, err := admin.CoreV1().ServiceAccounts("restart").Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config, err := c.ServiceAccountRESTConfig(t.Context(), "restart", "robot")
	if err != nil {
		t.Fatal(err)
	}
	robot := clientFor(t, config)
	for _, kill := range []bool{true, false} {
		if err := c.StopAPIServer(kill); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.CoreV1().Namespaces().Get(t.Context(), "restart", metav1.GetOptions{}); err == nil {
			t.Fatal("a stopped API server answered")
		}
		if err := c.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := admin.CoreV1().Namespaces().Get(t.Context(), "restart", metav1.GetOptions{}); err != nil {
			t.Errorf("after a restart (killed: %t): %v", kill, err)
		}
		// Forbidden, not unauthorized: the server knows the user.
		if _, err := robot.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
			t.Errorf("an old token after a restart (killed: %t): %v, want forbidden", kill, err)
		}
	}
}

// testFollow has an object written and deleted on both sides of a restart, and expects each write once.
func testFollow(t *testing.T, c *controlplane.ControlPlane, admin kubernetes.Interface) {
	ctx, cancel := context.WithCancel(t.Context())
	writes, ended := make(chan controlplane.Write, 100), make(chan error, 1)
	go func() {
		ended <- c.Follow(ctx, "/registry/configmaps/default/followed", 1, func(w controlplane.Write) { writes <- w })
	}()
	objects := admin.CoreV1().ConfigMaps("default")
	o, err := objects.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "followed"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	versions := []string{o.ResourceVersion}
	if err := c.StopAPIServer(true); err != nil {
		t.Fatal(err)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Data = map[string]string{"changed": "true"}
	if o, err = objects.Update(t.Context(), o, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	versions = append(versions, o.ResourceVersion)
	if err := objects.Delete(t.Context(), "followed", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		w := <-writes
		if gone := w.Value == nil; gone != (i == 2) || w.Key != "/registry/configmaps/default/followed" || w.Seen.IsZero() {
			t.Errorf("write %d is %+v, want two of the object and then its deletion", i, w)
		}
		if i < 2 && strconv.FormatInt(w.Revision, 10) != versions[i] {
			t.Errorf("write %d is revision %d, want the resourceVersion %s", i, w.Revision, versions[i])
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Follow: %v, want no error at the end of its context", err)
	}
	if len(writes) > 0 {
		t.Errorf("%d more writes, want none", len(writes))
	}
}

func testCompact(t *testing.T, c *controlplane.ControlPlane, admin kubernetes.Interface) {
	createNamespace(t, admin, "compact")
	before, err := admin.CoreV1().ConfigMaps("compact").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().ConfigMaps("compact").Create(t.Context(),
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "late"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	past := metav1.ListOptions{ResourceVersion: before.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
	list, err := admin.CoreV1().ConfigMaps("compact").List(t.Context(), past)
	if err != nil || len(list.Items) != 0 {
		t.Fatalf("the past before Compact: %d objects, %v, want none and no error", len(list.Items), err)
	}
	old, err := strconv.ParseInt(before.ResourceVersion, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	revision, err := c.Compact(t.Context())
	if err != nil || revision <= old {
		t.Fatalf("Compact: %d, %v, want a revision after %d", revision, err, old)
	}
	if err := c.StopAPIServer(true); err != nil {
		t.Fatal(err)
	}
	if err := c.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().ConfigMaps("compact").List(t.Context(), past); !apierrors.IsResourceExpired(err) {
		t.Errorf("the past after Compact: %v, want 410 Expired", err)
	}
	if got := watchError(t, admin, "compact", before.ResourceVersion); got != http.StatusGone {
		t.Errorf("a watch from the past after Compact: code %d, want 410", got)
	}
}

// watchError returns the code with which a watch is refused, and fails if it is accepted.
func watchError(t *testing.T, client kubernetes.Interface, namespace, resourceVersion string) int32 {
	t.Helper()
	w, err := client.CoreV1().ConfigMaps(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: resourceVersion})
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return status.Status().Code
	}
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	event := <-w.ResultChan()
	refused, ok := event.Object.(*metav1.Status)
	if !ok {
		t.Fatalf("the watch began with %v, want a refusal", event)
	}
	return refused.Code
}

func testRBAC(t *testing.T, c *controlplane.ControlPlane, admin kubernetes.Interface) {
	createNamespace(t, admin, "rbac")
	path, err := c.KubeconfigFor("alice", "readers")
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	alice := clientFor(t, config)
	if _, err := alice.CoreV1().ConfigMaps("rbac").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("without a role: %v, want forbidden", err)
	}
	if _, err := admin.RbacV1().Roles("rbac").Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Name: "reader"},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"configmaps"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().RoleBindings("rbac").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "readers"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "readers"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	gomega.NewWithT(t).Eventually(func() error {
		_, err := alice.CoreV1().ConfigMaps("rbac").List(t.Context(), metav1.ListOptions{})
		return err
	}).WithTimeout(20 * time.Second).Should(gomega.Succeed())
}

func testPause(t *testing.T, c *controlplane.ControlPlane, admin kubernetes.Interface) {
	if err := c.PauseAPIServer(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := admin.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused API server: %v, want no answer", err)
	}
	if err := c.ResumeAPIServer(); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("a resumed API server: %v", err)
	}
}

func testAudit(t *testing.T, c *controlplane.ControlPlane) {
	config := c.RESTConfig()
	config.UserAgent = "audited"
	client := clientFor(t, config)
	for range 3 {
		if _, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := client.CoreV1().Secrets("default").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Stop()
	events, err := c.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	var ours []controlplane.AuditEvent
	for _, e := range events {
		if e.UserAgent == "audited" {
			ours = append(ours, e)
		}
	}
	counts := controlplane.RequestCounts(ours)
	if n := counts[controlplane.Request{Verb: "list", Resource: "secrets"}]; n != 3 {
		t.Errorf("lists of secrets in the log: %d, want 3 (all: %v)", n, counts)
	}
	if n := counts[controlplane.Request{Verb: "watch", Resource: "secrets"}]; n != 1 {
		t.Errorf("watches of secrets in the log: %d, want 1 (all: %v)", n, counts)
	}
}

func testAggregation(t *testing.T, c *controlplane.ControlPlane) {
	const list = `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"v1.test.example.com","resources":[]}`
	var user atomic.Value
	extension := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/apis/test.example.com/v1/whoami" {
			user.Store(r.Header.Get("X-Remote-User"))
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, list)
	}))
	t.Cleanup(extension.Close)
	target, err := url.Parse(extension.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(target.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	admin := clientFor(t, c.RESTConfig())
	if _, err := admin.CoreV1().Services("default").Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "extension"},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "127.0.0.1"},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	dyn, err := dynamic.NewForConfig(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	services := dyn.Resource(schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"})
	if _, err := services.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1",
		"kind":       "APIService",
		"metadata":   map[string]any{"name": "v1.test.example.com"},
		"spec": map[string]any{
			"group": "test.example.com", "version": "v1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true,
			"service":               map[string]any{"namespace": "default", "name": "extension", "port": port},
		},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := services.Delete(ctx, "v1.test.example.com", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	})
	gomega.NewWithT(t).Eventually(func() error {
		return admin.Discovery().RESTClient().Get().AbsPath("/apis/test.example.com/v1/whoami").Do(t.Context()).Error()
	}).WithTimeout(30 * time.Second).Should(gomega.Succeed())
	if got := user.Load(); got != "admin" {
		t.Errorf("the extension server was told that %v asks, want admin", got)
	}
}

func TestGivenDirectoryIsKeptWithItsData(t *testing.T) {
	dir := t.TempDir()
	for round := range 2 {
		c, err := controlplane.Start(t.Context(), controlplane.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		client := clientFor(t, c.RESTConfig())
		if round == 0 {
			createNamespace(t, client, "kept")
		} else if _, err := client.CoreV1().Namespaces().Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
			t.Errorf("in the second start: %v", err)
		}
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}

func createNamespace(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	if _, err := client.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// clientFor returns a client whose connections are closed at the end of the test.
func clientFor(t *testing.T, config *rest.Config) *kubernetes.Clientset {
	t.Helper()
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	client, err := kubernetes.NewForConfigAndClient(config, transport)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
