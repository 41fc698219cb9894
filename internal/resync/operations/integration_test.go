//go:build integration

package operations_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

func init() {
	mayLeak = []goleak.Option{
		goleak.IgnoreAnyFunction("golang.org/x/net/http2.(*ClientConn).readLoop"),
		goleak.IgnoreAnyFunction("net/http.(*http2ClientConn).readLoop"),
	}
}

// cable is a way to the API server that can be cut.
type cable struct {
	next http.RoundTripper
	cut  atomic.Bool
}

func (c *cable) RoundTrip(r *http.Request) (*http.Response, error) {
	if c.cut.Load() {
		return nil, errors.New("the cable is cut")
	}
	return c.next.RoundTrip(r)
}

// allowed makes a user with exactly the documented rights for ConfigMaps of the namespace default.
func allowed(t *testing.T, cp *controlplane.ControlPlane) {
	t.Helper()
	admin, err := kubernetes.NewForConfig(cp.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Name: "resyncs"}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"list", "watch", "get", "create", "update"},
	}}}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "resyncs"},
		Subjects: []rbacv1.Subject{{APIGroup: "rbac.authorization.k8s.io", Kind: "User", Name: "member"}},
	}
	if _, err := admin.RbacV1().Roles("default").Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.RbacV1().RoleBindings("default").Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// TestRealAPIServer proves against etcd and kube-apiserver the assumptions of the other tests' fake.
func TestRealAPIServer(t *testing.T) {
	cp := controlplane.ForTest(t, controlplane.Options{})
	allowed(t, cp)
	f := newFixture(t, 60)
	f.behave = func(ctx context.Context, _ string, _ operations.Request, part operations.Part, progress func(offered, open int)) error {
		progress(part.Objects, 0)
		return takes(ctx, 100*time.Millisecond)
	}
	cables := map[string]*cable{}
	begin := func(name string) {
		config, err := cp.RESTConfigFor("member")
		if err != nil {
			t.Fatal(err)
		}
		config.QPS = -1
		c := &cable{}
		config.Wrap(func(next http.RoundTripper) http.RoundTripper { c.next = next; return c })
		api, err := corev1client.NewForConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		cables[name] = c
		f.start(name, func(o *operations.Options, n *member) { o.Namespace, n.api = "default", api })
		<-f.engines[name].Synced()
	}
	f.see("a", "b", "c")
	for _, name := range []string{"a", "b", "c"} {
		begin(name)
	}

	t.Run("three equal requests at once are one operation, shared out", func(t *testing.T) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		ids := map[string]bool{}
		for _, n := range f.engines {
			wg.Go(func() {
				o, err := n.Start(t.Context(), f.full())
				if err != nil {
					t.Errorf("Start on %s: %v", n.name, err)
				}
				mu.Lock()
				defer mu.Unlock()
				ids[o.ID] = true
			})
		}
		wg.Wait()
		for id := range ids {
			for name := range f.engines {
				if end := f.wait(name, id); end.Status != operations.Done || end.TypesDone != 60 || end.Offered != 600 || len(end.Shares) != 3 {
					t.Errorf("on %s it ends as %+v", name, end)
				}
			}
		}
		if len(ids) != 1 {
			t.Errorf("the operations are %v, want one", ids)
		}
		f.wantOnce(60)
	})

	t.Run("a member that dies is replaced, and goes on when it is back", func(t *testing.T) {
		f.locked(func() { f.steps = nil })
		o := f.begin("a", operations.Request{Types: f.catalog.Types(), Label: "again"})
		n := f.engines["b"]
		for !slices.ContainsFunc(f.log(), func(s step) bool { return s.member == "b" && s.ended }) {
			<-time.After(10 * time.Millisecond)
		}
		cables["b"].cut.Store(true)
		n.stop()
		f.see("a", "c")
		if end := f.wait("c", o.ID); end.Status != operations.Done || end.TypesDone != 60 || len(end.Failures) != 0 {
			t.Errorf("it ends as %+v", end)
		}
		if times, _ := f.done(); len(times) != 60 {
			t.Errorf("%d parts were sent, want 60", len(times))
		}
		begin("b")
		f.see("a", "b", "c")
		if end := f.wait("b", o.ID); end.Status != operations.Done {
			t.Errorf("b, which is back, sees %+v", end)
		}
	})

	t.Run("a ConfigMap that is deleted is made again", func(t *testing.T) {
		admin, err := corev1client.NewForConfig(cp.RESTConfig())
		if err != nil {
			t.Fatal(err)
		}
		if err := admin.ConfigMaps("default").Delete(t.Context(), "r-resyncs", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if end := f.wait("a", f.begin("c", f.full()).ID); end.TypesDone != 60 {
			t.Errorf("it ends as %+v", end)
		}
		m, err := admin.ConfigMaps("default").Get(t.Context(), "r-resyncs", metav1.GetOptions{})
		if err != nil || m.Labels["vectordb-sync.io/ring"] != "r" || m.Labels["vectordb-sync.io/resyncs"] != "true" || m.Labels["vectordb-sync.io/target"] != "" {
			t.Errorf("it has the labels %v (%v)", m.Labels, err)
		}
	})
}
