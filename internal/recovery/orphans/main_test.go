package orphans_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// The index library behind the receiver starts the workers of its global queue when it is imported.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

var (
	pods        = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	nodes       = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
	deployments = resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
)

const token = "s3cret"

// rig is a receiver behind a real socket, and a client of its lists.
type rig struct {
	*receiver.Server
	*orphans.Client
	t   *testing.T
	url string
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s, err := receiver.New(receiver.Options{IndexOnSearch: true, DotAIToken: token})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		if err := s.Close(); err != nil { // first, for it ends requests that a fault holds
			t.Errorf("closing receiver: %v", err)
		}
		web.Close()
	})
	r := &rig{Server: s, t: t, url: web.URL}
	r.Client = r.client(func() (string, error) { return token, nil })
	return r
}

func (r *rig) client(token func() (string, error)) *orphans.Client {
	r.t.Helper()
	return clientOf(r.t, r.url, token)
}

func clientOf(t *testing.T, server string, token func() (string, error)) *orphans.Client {
	t.Helper()
	u, err := url.Parse(server + "/api/v1/resources/sync")
	if err != nil {
		t.Fatal(err)
	}
	c, err := orphans.New("dot-ai", u, orphans.Options{Token: token})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// post sends documents as a controller does; each is namespace/name.
func (r *rig) post(apiVersion, kind string, names ...string) {
	r.t.Helper()
	for len(names) > 0 {
		n := min(len(names), 2000)
		items := make([]map[string]any, n)
		for i, full := range names[:n] {
			namespace, name, _ := strings.Cut(full, "/")
			items[i] = map[string]any{"namespace": namespace, "name": name, "kind": kind, "apiVersion": apiVersion,
				"labels": map[string]string{"app": name}, "createdAt": "2026-01-15T10:30:00Z", "updatedAt": "2026-01-15T10:30:00Z"}
		}
		names = names[n:]
		body, err := json.Marshal(map[string]any{"upserts": items})
		if err != nil {
			r.t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(r.t.Context(), http.MethodPost, r.url+"/api/v1/resources/sync", strings.NewReader(string(body)))
		if err != nil {
			r.t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			r.t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			r.t.Fatalf("posting: HTTP %d", resp.StatusCode)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// many are n names in a namespace.
func many(n int, format string) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf(format, i)
	}
	return names
}

// judge compares a listing with a present in which objects whose names begin with live exist, and namespace "hidden" is
// not watched.
func judge(l orphans.Listing, t resource.Type, force bool) orphans.Verdict {
	watched := func(o guard.Object) bool { return o.Namespace != "hidden" }
	there := func(o guard.Object) bool { return strings.HasPrefix(o.Name, "live") }
	return orphans.Judge(l, t, watched, there, force)
}
