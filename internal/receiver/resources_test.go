package receiver_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

func dotDelete(name string) map[string]any {
	return map[string]any{"namespace": "shop", "name": name, "kind": "ConfigMap", "apiVersion": "v1"}
}

func resync(upserts ...map[string]any) string {
	b, err := json.Marshal(map[string]any{"isResync": true, "upserts": upserts})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestResourcesContract has one case for each row of dot-ai's observed behaviour that one request shows.
func TestResourcesContract(t *testing.T) {
	type m = map[string]any
	one := body([]m{item("a")})
	auth := func(k, v string) map[string]string { return map[string]string{"Authorization": "", k: v} }
	cases := map[string]struct {
		send     request
		want     int
		wantCode string
		wantPath string // error.details[0].path
		wantIDs  []string
	}{
		"upsert":               {send: request{body: one}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"sent id is ignored":   {send: request{body: body([]m{item("a", m{"id": "x"})})}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"probe":                {send: request{body: `{}`}, want: 200},
		"top-level array":      {send: request{body: `[]`}, want: 200},
		"any media type":       {send: request{body: one, header: map[string]string{"Content-Type": "text/plain"}}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"unknown field":        {send: request{body: `{"extra":[1]}`}, want: 200},
		"garbage timestamps":   {send: request{body: body([]m{item("a", m{"createdAt": "x", "updatedAt": "y"})})}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"label a number":       {send: request{body: body([]m{item("a", m{"labels": m{"n": 1}})})}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"labels null":          {send: request{body: body([]m{item("a", m{"labels": nil})})}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"8 MiB":                {send: request{body: padded(8 << 20)}, want: 200},
		"twice in upserts":     {send: request{body: body([]m{item("a"), item("a")})}, want: 200, wantIDs: []string{"shop:v1:ConfigMap:a"}},
		"delete of unknown":    {send: request{body: body(nil, dotDelete("x"))}, want: 200},
		"upsert and delete":    {send: request{body: body([]m{item("a")}, dotDelete("a"))}, want: 200},
		"resync as text":       {send: request{body: `{"isResync":"true","upserts":[]}`}, want: 200},
		"no token":             {send: request{body: one, header: auth("Authorization", "")}, want: 401, wantCode: "UNAUTHORIZED"},
		"bad token":            {send: request{body: one, header: auth("Authorization", "Bearer no")}, want: 401, wantCode: "UNAUTHORIZED"},
		"wrong scheme":         {send: request{body: one, header: auth("Authorization", "Basic "+token)}, want: 401, wantCode: "UNAUTHORIZED"},
		"own header":           {send: request{body: `{}`, header: auth("X-Dot-AI-Authorization", "Bearer "+token)}, want: 200},
		"own header wins":      {send: request{body: `{}`, header: map[string]string{"X-Dot-AI-Authorization": "Bearer no"}}, want: 401, wantCode: "UNAUTHORIZED"},
		"name absent":          {send: request{body: body([]m{item("a"), item("b", m{"name": absent})})}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "upserts[1].name"},
		"name empty":           {send: request{body: body([]m{item("")})}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "upserts[0].name"},
		"namespace empty":      {send: request{body: body([]m{item("a", m{"namespace": ""})})}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "upserts[0].namespace"},
		"updatedAt absent":     {send: request{body: body([]m{item("a", m{"updatedAt": absent})})}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "upserts[0].updatedAt"},
		"upserts null":         {send: request{body: `{"upserts":null}`}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "upserts"},
		"deletes null":         {send: request{body: `{"deletes":null}`}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "deletes"},
		"delete a string":      {send: request{body: body(nil, "shop/v1/ConfigMap/a")}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "deletes[0]"},
		"cluster-whisperer":    {send: request{body: body([]m{instance("shop/v1/ConfigMap/a")}, "x")}, want: 400, wantCode: "VALIDATION_ERROR", wantPath: "upserts[0].updatedAt"},
		"empty body":           {send: request{body: ``}, want: 400, wantCode: "INVALID_REQUEST"},
		"malformed":            {send: request{body: `{"upserts":`}, want: 500, wantCode: "INTERNAL_ERROR"},
		"GET":                  {send: request{method: "GET"}, want: 405, wantCode: "METHOD_NOT_ALLOWED"},
		"trailing slash":       {send: request{body: one, path: resourcesPath + "/"}, want: 404, wantCode: "NOT_FOUND"},
		"unknown path":         {send: request{body: one, path: "/api/v1/resources/sink"}, want: 404, wantCode: "NOT_FOUND"},
		"list without kind":    {send: request{method: "GET", path: "/api/v1/resources?apiVersion=v1"}, want: 400, wantCode: "MISSING_PARAMETER"},
		"list without version": {send: request{method: "GET", path: "/api/v1/resources?kind=Pod"}, want: 400, wantCode: "MISSING_PARAMETER"},
		"list with bad limit":  {send: request{method: "GET", path: "/api/v1/resources?kind=Pod&apiVersion=v1&limit=x"}, want: 400, wantCode: "INVALID_PARAMETER"},
		"list without token":   {send: request{method: "GET", path: "/api/v1/resources/kinds", header: auth("Authorization", "")}, want: 401, wantCode: "UNAUTHORIZED"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, receiver.Options{})
			if c.send.path == "" {
				c.send.path = resourcesPath
			}
			g := r.must(c.send)
			if g.status != c.want {
				t.Fatalf("status %d, want %d: %s", g.status, c.want, g.body)
			}
			if want := fmt.Sprint(c.want == 200); at(t, g.body, "success") != want {
				t.Errorf("success is %s, want %s", at(t, g.body, "success"), want)
			}
			if code := at(t, g.body, "error", "code"); code != c.wantCode {
				t.Errorf("code %q, want %q", code, c.wantCode)
			}
			if c.wantPath != "" && at(t, g.body, "error", "details", 0, "path") != c.wantPath {
				t.Errorf("details %s, want path %s", at(t, g.body, "error", "details"), c.wantPath)
			}
			if hasMeta := at(t, g.body, "meta", "requestId") != ""; hasMeta == (c.wantCode == "INTERNAL_ERROR") {
				t.Errorf("meta: %s", at(t, g.body, "meta"))
			}
			if c.want == 401 && !strings.HasPrefix(g.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("WWW-Authenticate is %q", g.header.Get("WWW-Authenticate"))
			}
			if diff := cmp.Diff(append([]string{}, c.wantIDs...), r.ids(receiver.Resources)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

func TestServerWithoutTokenAuthorizesNobody(t *testing.T) {
	s, err := receiver.New(receiver.Options{IndexOnSearch: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := &rig{Server: s, t: t, url: "http://receiver", client: newClient(s)}
	for _, header := range []string{"", "Bearer ", "Bearer x"} {
		if g := r.must(request{path: resourcesPath, body: `{}`, header: map[string]string{"Authorization": header}}); g.status != 401 {
			t.Errorf("Authorization %q: %d, want 401", header, g.status)
		}
	}
}

func TestResourcesGoldenPayloadIsStoredWhole(t *testing.T) {
	payload, err := os.ReadFile("testdata/resources.json")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, receiver.Options{})
	g := r.post(resourcesPath, string(payload))
	if d := at(t, g.body, "data"); d != `{"deleted":1,"upserted":2}` {
		t.Fatalf("%d %s", g.status, g.body)
	}
	got := r.Documents(receiver.Resources)
	for i := range got {
		got[i].Hash = 0
	}
	want := []receiver.Document{
		{
			ID: "_cluster:v1:Namespace:shop", Namespace: "_cluster", Name: "shop", Kind: "Namespace", APIVersion: "v1",
			CreatedAt: "2026-01-15T10:00:00Z", UpdatedAt: "2026-01-15T10:00:00Z", Request: 1,
		},
		{
			ID: "shop:apps/v1:Deployment:cart", Namespace: "shop", Name: "cart", Kind: "Deployment", APIVersion: "apps/v1", APIGroup: "apps",
			Labels:      map[string]string{"app.kubernetes.io/name": "cart", "tier": "web"},
			Annotations: map[string]string{"description": "Keeps the baskets of the web shop"},
			CreatedAt:   "2026-01-15T10:30:00Z", UpdatedAt: "2026-01-16T08:00:00Z", Request: 1,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}

func TestResyncDeletesWhateverIsNotInTheList(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(resourcesPath, body([]map[string]any{item("a"), item("b"), item("c", map[string]any{"namespace": "other"})}))
	g := r.post(resourcesPath, resync(item("a"), item("b", map[string]any{"labels": map[string]any{"x": "y"}}), item("new")))
	if g.status != 200 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	want := `{"deleted":1,"deletedResources":["other:v1:ConfigMap:c"],"inserted":1,"insertedResources":["shop:v1:ConfigMap:new"],"updated":1,"updatedResources":["shop:v1:ConfigMap:b"]}`
	if d := at(t, g.body, "data", "resync"); d != want {
		t.Errorf("resync %s, want %s", d, want)
	}
	if diff := cmp.Diff([]string{"shop:v1:ConfigMap:a", "shop:v1:ConfigMap:b", "shop:v1:ConfigMap:new"}, r.ids(receiver.Resources)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if s := r.Stats(); s.Resyncs != 1 {
		t.Errorf("%d resyncs counted, want 1", s.Resyncs)
	}
}

func TestResyncEmbedsOnlyWhatDiffersIncludingUpdatedAt(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(resourcesPath, body([]map[string]any{item("a"), item("b")}))
	before := r.Stats().Embedded
	r.ok(resourcesPath, resync(item("a"), item("b")))
	if n := r.Stats().Embedded - before; n != 0 {
		t.Errorf("an equal list embedded %d, want 0", n)
	}
	r.ok(resourcesPath, resync(item("a"), item("b", map[string]any{"updatedAt": "now"})))
	if n := r.Stats().Embedded - before; n != 1 {
		t.Errorf("a new updatedAt embedded %d, want 1", n)
	}
}

func TestEmptyResyncDeletesNothing(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(resourcesPath, body([]map[string]any{item("a")}))
	for _, b := range []string{`{"isResync":true}`, `{"isResync":true,"upserts":[]}`} {
		r.ok(resourcesPath, b)
	}
	if n := r.Len(receiver.Resources); n != 1 {
		t.Errorf("%d documents left, want 1", n)
	}
	if s := r.Stats(); s.Resyncs != 2 {
		t.Errorf("%d resyncs counted, want 2: a payload that had no effect was still sent", s.Resyncs)
	}
}

func TestTenThousandPointsAreAllThatIsEverSeen(t *testing.T) {
	r := newRig(t, receiver.Options{})
	all := make([]map[string]any, 10_500)
	for i := range all {
		all[i] = item(fmt.Sprintf("n%05d", i))
	}
	r.ok(resourcesPath, body(all))
	g := r.must(request{method: "GET", path: "/api/v1/resources/kinds"})
	if n := at(t, g.body, "data", "kinds", 0, "count"); n != "10000" {
		t.Errorf("kinds count %s, want 10000", n)
	}
	if g := r.post(resourcesPath, resync(all...)); at(t, g.body, "data", "resync", "inserted") != "500" {
		t.Errorf("a resync of what is held inserted %s, want the 500 that it cannot see", at(t, g.body, "data", "resync", "inserted"))
	}
}

func TestListingPagesAndClampsTheLimit(t *testing.T) {
	r := newRig(t, receiver.Options{})
	all := make([]map[string]any, 0, 1_201)
	for i := range 1_200 {
		all = append(all, item(fmt.Sprintf("n%05d", i), map[string]any{"namespace": fmt.Sprintf("ns%d", i%2)}))
	}
	r.ok(resourcesPath, body(append(all, item("x", map[string]any{"kind": "Secret", "namespace": "_cluster"}))))
	list := func(query string) got {
		return r.must(request{method: "GET", path: "/api/v1/resources?kind=ConfigMap&apiVersion=v1" + query})
	}
	seen := map[string]bool{}
	for _, offset := range []int{0, 1000} {
		g := list(fmt.Sprintf("&limit=5000&offset=%d", offset))
		if at(t, g.body, "data", "limit") != "1000" || at(t, g.body, "data", "total") != "1200" {
			t.Fatalf("limit %s total %s, want 1000 and 1200", at(t, g.body, "data", "limit"), at(t, g.body, "data", "total"))
		}
		for i := 0; at(t, g.body, "data", "resources", i) != "" && i < 3; i++ {
			seen[at(t, g.body, "data", "resources", i, "name")] = true
		}
	}
	if len(seen) != 6 {
		t.Errorf("pages repeat: %v", seen)
	}
	for query, want := range map[string]string{"&offset=9999": "1200", "&namespace=ns1": "600", "&namespace=ns": "0"} {
		if total := at(t, list(query).body, "data", "total"); total != want {
			t.Errorf("%s: total %s, want %s", query, total, want)
		}
	}
	if g := r.must(request{method: "GET", path: "/api/v1/namespaces"}); at(t, g.body, "data", "namespaces") != `["ns0","ns1"]` {
		t.Errorf("namespaces %s", g.body)
	}
	if g := list("&offset=9999"); at(t, g.body, "data", "resources") != `[]` {
		t.Errorf("past the end: %s", at(t, g.body, "data", "resources"))
	}
}

func TestProxyLimitAnswersWithHTML(t *testing.T) {
	r := newRig(t, receiver.Options{DotAIMaxBytes: 1 << 20})
	for _, chunked := range []bool{false, true} {
		g := r.must(request{path: resourcesPath, body: padded(1<<20 + 1), chunked: chunked})
		if g.status != 413 || g.header.Get("Content-Type") != "text/html" {
			t.Errorf("chunked %t: %d %s, want 413 text/html", chunked, g.status, g.header.Get("Content-Type"))
		}
	}
}
