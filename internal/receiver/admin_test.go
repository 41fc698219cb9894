package receiver_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

func TestAdminIsNotServedUnlessAskedFor(t *testing.T) {
	r := newRig(t, receiver.Options{})
	for _, path := range []string{"/admin/stats", "/admin/requests", "/admin/documents"} {
		if g := r.must(request{method: "GET", path: path}); g.status != 404 {
			t.Errorf("%s: %d, want 404", path, g.status)
		}
	}
}

func TestAdminShowsWhatTheGoAPIShows(t *testing.T) {
	r := newRig(t, receiver.Options{Admin: true})
	r.ok(instancesPath, body([]map[string]any{instance("a"), instance("b")}))
	r.ok(instancesPath, body([]map[string]any{instance("c")}))
	r.ok(resourcesPath, body([]map[string]any{item("d")}))
	get := func(path string) []string {
		g := r.must(request{method: "GET", path: path})
		if g.status != 200 {
			t.Fatalf("%s: %d %s", path, g.status, g.body)
		}
		return strings.Split(strings.TrimSpace(g.body), "\n")
	}
	if lines := get("/admin/documents?store=instances"); len(lines) != 3 || at(t, lines[0], "id") != "a" || len(at(t, lines[0], "hash")) != 16 {
		t.Errorf("documents %q, want a to c with their hashes", lines)
	}
	if lines := get("/admin/documents?store=resources"); len(lines) != 1 || at(t, lines[0], "id") != "shop:v1:ConfigMap:d" {
		t.Errorf("documents %q, want d", lines)
	}
	lines := get("/admin/requests?since=1")
	if len(lines) != 2 {
		t.Fatalf("requests %q, want 2", lines)
	}
	var rec receiver.Record
	if err := json.Unmarshal([]byte(lines[0]), &rec); err != nil || rec.Seq != 2 || rec.Upserts[0].ID != "c" || rec.Status != 200 {
		t.Errorf("record %+v: %v", rec, err)
	}
	if s := get("/admin/stats")[0]; at(t, s, "upserts") != "4" || at(t, s, "documents", "instances") != "3" {
		t.Errorf("stats %s", s)
	}
	for _, path := range []string{"/admin/requests?since=x", "/admin/documents?store=x"} {
		if g := r.must(request{method: "GET", path: path}); g.status != 400 {
			t.Errorf("%s: %d, want 400", path, g.status)
		}
	}
	r.must(request{method: "DELETE", path: "/admin/requests"})
	r.must(request{method: "DELETE", path: "/admin/documents?store=instances"})
	if len(r.Requests(0)) != 0 || r.Len(receiver.Instances) != 0 || r.Len(receiver.Resources) != 1 {
		t.Errorf("%d requests, %d instances, %d resources, want 0, 0, 1", len(r.Requests(0)), r.Len(receiver.Instances), r.Len(receiver.Resources))
	}
}

func TestFaultsAreSetOverHTTP(t *testing.T) {
	r := newRig(t, receiver.Options{Admin: true})
	g := r.post("/admin/faults", `{"rules":[{"name":"busy","match":{"array":"upserts","percent":100},"effect":{"status":503,"retryAfter":"3"},"for":"1h","count":5}]}`)
	if g.status != 204 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	payload := body([]map[string]any{instance("a")})
	if g := r.post(instancesPath, payload); g.status != 503 || g.header.Get("Retry-After") != "3" {
		t.Errorf("%d %v, want 503 with Retry-After", g.status, g.header)
	}
	for _, bad := range []string{`{"rules":[{"efect":{}}]}`, `{"rules":[{"effect":{}}]}`, `{`, `{"rules":[{"effect":{"hang":5}}]}`} {
		if g := r.post("/admin/faults", bad); g.status != 400 || at(t, g.body, "error") == "" {
			t.Errorf("%s: %d %s, want 400 and why", bad, g.status, g.body)
		}
	}
	if g := r.must(request{method: "DELETE", path: "/admin/faults"}); g.status != 204 {
		t.Errorf("%d %s", g.status, g.body)
	}
	r.ok(instancesPath, payload)
	if g := r.post("/admin/release", ""); g.status != 204 {
		t.Errorf("release: %d %s", g.status, g.body)
	}
}

func TestLenientReceiverDoesWhatAPersonWouldRatherHave(t *testing.T) {
	s, err := receiver.New(receiver.Options{Lenient: true, IndexOnSearch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &rig{Server: s, t: t, url: "http://receiver", client: newClient(s)}
	twice := body([]map[string]any{instance("a"), instance("a", map[string]any{"kind": "Secret"})}, "x", "x")
	if g := r.must(request{path: instancesPath, body: twice, header: map[string]string{"Content-Type": "text/plain"}}); g.status != 200 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if d, _ := r.Document(receiver.Instances, "a"); d.Kind != "Secret" {
		t.Errorf("kind %q, want the last of the two", d.Kind)
	}
	if g := r.must(request{path: resourcesPath, body: `{}`, header: map[string]string{"Authorization": ""}}); g.status != 200 {
		t.Errorf("without a token: %d, want 200", g.status)
	}
}
