package receiver_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

func upsertWith(edits map[string]any) string {
	return body([]map[string]any{instance("shop/v1/ConfigMap/a", edits)})
}

// padded is a valid body of exactly n bytes.
func padded(n int) string { return `{"pad":"` + strings.Repeat("x", n-10) + `"}` }

func gzipped(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(s)) // into memory
	_ = w.Close()
	return b.String()
}

// TestInstancesContract has one case for each row of cluster-whisperer's observed behaviour.
func TestInstancesContract(t *testing.T) {
	const id = "shop/v1/ConfigMap/a"
	one := body([]map[string]any{instance(id)})
	type m = map[string]any
	long := "shop/v1/ConfigMap/" + strings.Repeat("x", 2982)
	cases := map[string]struct {
		send     request
		want     int
		wantText string   // the whole body, when not empty
		wantPath string   // details[0].path as JSON, when not empty
		wantIDs  []string // nil: nothing stored
	}{
		"upsert":                   {send: request{body: one}, want: 200, wantText: `{"status":"ok","upserted":1,"deleted":0}`, wantIDs: []string{id}},
		"delete of unknown":        {send: request{body: body(nil, "x")}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":1}`},
		"delete of empty id":       {send: request{body: body(nil, "")}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":1}`},
		"both":                     {send: request{body: body([]m{instance(id)}, "x")}, want: 200, wantText: `{"status":"ok","upserted":1,"deleted":1}`, wantIDs: []string{id}},
		"probe":                    {send: request{body: `{}`}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":0}`},
		"probe with spaces":        {send: request{body: " \n{} "}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":0}`},
		"empty arrays":             {send: request{body: `{"upserts":[],"deletes":[]}`}, want: 200},
		"nulls":                    {send: request{body: `{"upserts":null,"deletes":null}`}, want: 200},
		"labels null":              {send: request{body: upsertWith(m{"labels": nil})}, want: 200, wantIDs: []string{id}},
		"labels absent":            {send: request{body: upsertWith(m{"labels": absent, "annotations": absent})}, want: 200, wantIDs: []string{id}},
		"empty label key":          {send: request{body: upsertWith(m{"labels": m{"": ""}})}, want: 200, wantIDs: []string{id}},
		"cluster namespace":        {send: request{body: upsertWith(m{"namespace": "_cluster"})}, want: 200, wantIDs: []string{id}},
		"empty namespace and name": {send: request{body: upsertWith(m{"namespace": "", "name": ""})}, want: 200, wantIDs: []string{id}},
		"id unlike the fields":     {send: request{body: upsertWith(m{"id": "x"})}, want: 200, wantIDs: []string{"x"}},
		"long id":                  {send: request{body: upsertWith(m{"id": long})}, want: 200, wantIDs: []string{long}},
		"unknown top-level key":    {send: request{body: `{"isResync":true}`}, want: 200},
		"unknown item key":         {send: request{body: upsertWith(m{"updatedAt": 7})}, want: 200, wantIDs: []string{id}},
		"keys in another case":     {send: request{body: `{"Upserts":[1],"DELETES":[2]}`}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":0}`},
		"createdAt fraction":       {send: request{body: upsertWith(m{"createdAt": "2026-01-15T10:30:00.123456789Z"})}, want: 200, wantIDs: []string{id}},
		"createdAt zero time":      {send: request{body: upsertWith(m{"createdAt": "0001-01-01T00:00:00Z"})}, want: 200, wantIDs: []string{id}},

		"createdAt without zone":  {send: request{body: upsertWith(m{"createdAt": "2026-01-15T10:30:00"})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"createdAt offset":        {send: request{body: upsertWith(m{"createdAt": "2026-01-15T10:30:00+02:00"})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"createdAt empty":         {send: request{body: upsertWith(m{"createdAt": ""})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"createdAt null":          {send: request{body: upsertWith(m{"createdAt": nil})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"createdAt absent":        {send: request{body: upsertWith(m{"createdAt": absent})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"createdAt year 10000":    {send: request{body: upsertWith(m{"createdAt": "10000-01-01T00:00:00Z"})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"createdAt 30 February":   {send: request{body: upsertWith(m{"createdAt": "2026-02-30T00:00:00Z"})}, want: 400, wantPath: `["upserts",0,"createdAt"]`},
		"apiGroup absent":         {send: request{body: upsertWith(m{"apiGroup": absent})}, want: 400, wantPath: `["upserts",0,"apiGroup"]`},
		"id a number":             {send: request{body: upsertWith(m{"id": 7})}, want: 400, wantPath: `["upserts",0,"id"]`},
		"label a number":          {send: request{body: upsertWith(m{"labels": m{"a": 1}})}, want: 400, wantPath: `["upserts",0,"labels","a"]`},
		"upserts an object":       {send: request{body: `{"upserts":{}}`}, want: 400, wantPath: `["upserts"]`},
		"delete an object":        {send: request{body: body(nil, "a", m{"name": "x"})}, want: 400, wantPath: `["deletes",1]`},
		"top-level array":         {send: request{body: `[]`}, want: 400, wantPath: `[]`},
		"top-level null":          {send: request{body: `null`}, want: 400, wantPath: `[]`},
		"one bad among five":      {send: request{body: body([]m{instance("a"), instance("b"), instance("c", m{"createdAt": "x"}), instance("d"), instance("e")})}, want: 400, wantPath: `["upserts",2,"createdAt"]`},
		"dot-ai body":             {send: request{body: body([]m{item("cart")}, m{"namespace": "shop", "name": "x", "kind": "Pod", "apiVersion": "v1"})}, want: 400},
		"malformed":               {send: request{body: `{"upserts":`}, want: 400, wantText: "Malformed JSON in request body"},
		"empty body":              {send: request{body: ``}, want: 400, wantText: "Malformed JSON in request body"},
		"gzip":                    {send: request{body: gzipped(one), header: map[string]string{"Content-Encoding": "gzip"}}, want: 400, wantText: "Malformed JSON in request body"},
		"bytes after the JSON":    {send: request{body: one + "x"}, want: 400, wantText: "Malformed JSON in request body"},
		"no media type":           {send: request{body: one, header: map[string]string{"Content-Type": ""}}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":0}`},
		"text/plain":              {send: request{body: one, header: map[string]string{"Content-Type": "text/plain"}}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":0}`},
		"media type upper case":   {send: request{body: one, header: map[string]string{"Content-Type": "Application/JSON"}}, want: 200, wantText: `{"status":"ok","upserted":0,"deleted":0}`},
		"media type with charset": {send: request{body: one, header: map[string]string{"Content-Type": "application/json; charset=utf-8"}}, want: 200, wantIDs: []string{id}},

		"5 MiB":                   {send: request{body: padded(5 << 20)}, want: 200},
		"over 5 MiB":              {send: request{body: padded(5<<20 + 1)}, want: 413, wantText: `{"error":"Payload too large (max 5MB)"}`},
		"over 5 MiB, chunked":     {send: request{body: padded(5<<20 + 1), chunked: true}, want: 400, wantText: "Malformed JSON in request body"},
		"small, chunked":          {send: request{body: one, chunked: true}, want: 200, wantIDs: []string{id}},
		"trailing slash":          {send: request{body: one, path: instancesPath + "/"}, want: 200, wantIDs: []string{id}},
		"authorization ignored":   {send: request{body: one, header: map[string]string{"Authorization": "Bearer wrong"}}, want: 200, wantIDs: []string{id}},
		"GET":                     {send: request{method: "GET"}, want: 404, wantText: "404 Not Found"},
		"PUT":                     {send: request{method: "PUT", body: one}, want: 404, wantText: "404 Not Found"},
		"unknown path":            {send: request{body: one, path: "/api/v1/instances/sink"}, want: 404, wantText: "404 Not Found"},
		"empty id":                {send: request{body: upsertWith(m{"id": ""})}, want: 500},
		"twice in one chunk":      {send: request{body: body([]m{instance("a"), instance("b"), instance("a")})}, want: 500},
		"twice in two chunks":     {send: request{body: body(append(many(100, "n/%d"), instance("n/0", m{"kind": "Secret"})))}, want: 200, wantIDs: nil},
		"twice in deletes":        {send: request{body: body(nil, "a", "a")}, want: 500},
		"delete and upsert":       {send: request{body: body([]m{instance(id)}, id)}, want: 200, wantIDs: []string{id}},
		"lone surrogate":          {send: request{body: strings.Replace(upsertWith(m{"name": "@"}), "@", `\ud800`, 1)}, want: 500},
		"surrogate pair":          {send: request{body: strings.Replace(upsertWith(m{"name": "@"}), "@", `\ud83d\ude00`, 1)}, want: 200, wantIDs: []string{id}},
		"escaped backslash and u": {send: request{body: strings.Replace(upsertWith(m{"name": "@"}), "@", `\\ud800`, 1)}, want: 200, wantIDs: []string{id}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, receiver.Options{})
			if c.send.path == "" {
				c.send.path = instancesPath
			}
			g := r.must(c.send)
			if g.status != c.want {
				t.Fatalf("status %d, want %d: %s", g.status, c.want, g.body)
			}
			if c.wantText != "" && g.body != c.wantText {
				t.Errorf("body %q, want %q", g.body, c.wantText)
			}
			if plain := strings.HasPrefix(g.header.Get("Content-Type"), "text/plain"); plain == json.Valid([]byte(g.body)) {
				t.Errorf("media type %q does not fit the body %q", g.header.Get("Content-Type"), g.body)
			}
			if c.wantPath != "" {
				if p := at(t, g.body, "details", 0, "path"); p != c.wantPath {
					t.Errorf("path %s, want %s", p, c.wantPath)
				}
				if e := at(t, g.body, "error"); e != "Invalid payload" {
					t.Errorf("error %q, want Invalid payload", e)
				}
			}
			if name == "twice in two chunks" {
				if d, _ := r.Document(receiver.Instances, "n/0"); d.Kind != "Secret" || r.Len(receiver.Instances) != 100 {
					t.Errorf("%d documents and %+v, want 100 and the last one", r.Len(receiver.Instances), d)
				}
				return
			}
			if diff := cmp.Diff(append([]string{}, c.wantIDs...), r.ids(receiver.Instances)); diff != "" {
				t.Errorf("stored (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInvalidDatetimeIssueHasTheShapeOfTheRealOne(t *testing.T) {
	r := newRig(t, receiver.Options{})
	g := r.post(instancesPath, upsertWith(map[string]any{"createdAt": "yesterday"}))
	const want = `{"error":"Invalid payload","details":[{"code":"invalid_string","validation":"datetime","message":"Invalid datetime","path":["upserts",0,"createdAt"]}]}`
	if g.body != want {
		t.Errorf("body %s, want %s", g.body, want)
	}
}

func TestInstancesGoldenPayloadIsStoredWhole(t *testing.T) {
	payload, err := os.ReadFile("testdata/instances.json")
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, receiver.Options{})
	g := r.post(instancesPath, string(payload))
	if g.body != `{"status":"ok","upserted":2,"deleted":1}` {
		t.Fatalf("%d %s", g.status, g.body)
	}
	got := r.Documents(receiver.Instances)
	for i := range got {
		got[i].Hash = 0
	}
	want := []receiver.Document{
		{ID: "_cluster/v1/Namespace/shop", Namespace: "_cluster", Name: "shop", Kind: "Namespace", APIVersion: "v1", CreatedAt: "0001-01-01T00:00:00Z", Request: 1},
		{
			ID: "shop/apps/v1/Deployment/cart", Namespace: "shop", Name: "cart", Kind: "Deployment", APIVersion: "apps/v1", APIGroup: "apps",
			Labels:      map[string]string{"app.kubernetes.io/name": "cart", "tier": "web"},
			Annotations: map[string]string{"description": "Keeps the baskets of the web shop"},
			CreatedAt:   "2026-01-15T10:30:00Z", Request: 1,
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("documents (-want +got):\n%s", diff)
	}
}

func TestDeletesAndEarlierChunksStayAppliedWhenALaterChunkFails(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(instancesPath, body([]map[string]any{instance("gone")}))
	payload := append(many(100, "n/%03d"), instance("twice"), instance("twice"))
	if g := r.post(instancesPath, body(payload, "gone")); g.status != 500 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if ids := r.ids(receiver.Instances); len(ids) != 100 || ids[0] != "n/000" {
		t.Errorf("%d documents from %s, want the first chunk of 100 and neither gone nor twice", len(ids), ids[0])
	}
}

func TestDuplicateDeletesDeleteNothing(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(instancesPath, body([]map[string]any{instance("a")}))
	if g := r.post(instancesPath, body([]map[string]any{instance("b")}, "a", "a")); g.status != 500 {
		t.Fatalf("%d %s", g.status, g.body)
	}
	if diff := cmp.Diff([]string{"a"}, r.ids(receiver.Instances)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

func TestEmbedderIsCalledOncePerHundredUpserts(t *testing.T) {
	r := newRig(t, receiver.Options{})
	r.ok(instancesPath, body(many(101, "n/%d")))
	if s := r.Stats(); s.EmbedCalls != 2 || s.Embedded != 101 {
		t.Errorf("%d calls with %d texts, want 2 with 101", s.EmbedCalls, s.Embedded)
	}
}

func TestScanContract(t *testing.T) {
	names := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("kind%d.example.com", i)
		}
		b, err := json.Marshal(map[string]any{"upserts": list})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	cases := map[string]struct {
		body string
		want int
		text string
	}{
		"names":     {`{"upserts":["certificates.cert-manager.io"],"deletes":["old.example.io"]}`, 202, `{"status":"accepted","upserts":1,"deletes":1}`},
		"probe":     {`{}`, 202, `{"status":"accepted","upserts":0,"deletes":0}`},
		"nulls":     {`{"upserts":null,"deletes":null}`, 202, ""},
		"200 names": {names(200), 202, ""},
		"201 names": {names(201), 400, `{"details":"Maximum 200 total items (upserts + deletes) per request","error":"Payload too large"}`},
		"number":    {`{"upserts":[1]}`, 400, ""},
		"malformed": {`{`, 400, "Malformed JSON in request body"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, receiver.Options{})
			g := r.post(scanPath, c.body)
			if g.status != c.want || c.text != "" && g.body != c.text {
				t.Errorf("%d %s, want %d %s", g.status, g.body, c.want, c.text)
			}
		})
	}
}

func TestScanIsDoneAfterItsAnswerAndKeepsTheNames(t *testing.T) {
	inBubble(t, receiver.Options{ScanLatency: time.Second, Settle: time.Hour}, func(t *testing.T, r *rig) {
		if g := r.post(scanPath, `{"upserts":["a.example.com","b.example.com"]}`); g.status != 202 || r.Len(receiver.Capabilities) != 0 {
			t.Fatalf("%d %s and %d names at once, want 202 and none", g.status, g.body, r.Len(receiver.Capabilities))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"a.example.com", "b.example.com"}, r.ids(receiver.Capabilities)); diff != "" {
			t.Errorf("names (-want +got):\n%s", diff)
		}
	})
}

func TestFifthRunningScanIsTurnedAwayWithoutRetryAfter(t *testing.T) {
	r := newRig(t, receiver.Options{ScanLatency: 1 << 40}) // Close cuts it short
	for range 4 {
		if g := r.post(scanPath, `{"upserts":["a.example.com"]}`); g.status != 202 {
			t.Fatalf("%d %s", g.status, g.body)
		}
	}
	g := r.post(scanPath, `{"upserts":["a.example.com"]}`)
	if g.status != 429 || g.header.Get("Retry-After") != "" || g.body != `{"error":"Too many scan jobs in progress"}` {
		t.Errorf("%d %q %s, want 429 without Retry-After", g.status, g.header.Get("Retry-After"), g.body)
	}
}
