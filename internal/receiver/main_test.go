package receiver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
)

// The index library starts the workers of its global analysis queue when it is imported.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

const (
	instancesPath = "/api/v1/instances/sync"
	resourcesPath = "/api/v1/resources/sync"
	scanPath      = "/api/v1/capabilities/scan"
	token         = "s3cret"
)

// rig is a receiver behind a real socket.
type rig struct {
	*receiver.Server
	t      *testing.T
	url    string
	client *http.Client
}

func newRig(t *testing.T, opts receiver.Options) *rig {
	t.Helper()
	opts.IndexOnSearch = true
	if opts.DotAIToken == "" {
		opts.DotAIToken = token
	}
	s, err := receiver.New(opts)
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
	return &rig{Server: s, t: t, url: web.URL, client: web.Client()}
}

// got is an answer.
type got struct {
	status int
	header http.Header
	body   string
}

// request is the argument of send; the zero method is POST, the zero header is JSON with the token.
type request struct {
	method, path, body string
	header             map[string]string
	chunked            bool
}

func (r *rig) send(in request) (got, error) {
	r.t.Helper()
	method := in.method
	if method == "" {
		method = http.MethodPost
	}
	var body io.Reader = strings.NewReader(in.body)
	if in.chunked {
		body = io.MultiReader(body) // hides the length
	}
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+in.path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	for k, v := range in.header {
		if v == "" {
			req.Header.Del(k)
		} else {
			req.Header[http.CanonicalHeaderKey(k)] = []string{v}
		}
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return got{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return got{}, err
	}
	return got{resp.StatusCode, resp.Header, string(answer)}, nil
}

func (r *rig) must(in request) got {
	r.t.Helper()
	g, err := r.send(in)
	if err != nil {
		r.t.Fatalf("%s %s: %v", in.method, in.path, err)
	}
	return g
}

func (r *rig) post(path, body string) got {
	r.t.Helper()
	return r.must(request{path: path, body: body})
}

// ok posts a body that the receiver has to accept.
func (r *rig) ok(path, body string) {
	r.t.Helper()
	if g := r.post(path, body); g.status != http.StatusOK {
		r.t.Fatalf("POST %s: %d %s", path, g.status, g.body)
	}
}

func (r *rig) ids(store string) []string {
	out := []string{}
	for _, d := range r.Documents(store) {
		out = append(out, d.ID)
	}
	return out
}

// instance is an upsert of cluster-whisperer's contract; edits replace fields, and nil removes one.
func instance(id string, edits ...map[string]any) map[string]any {
	f := strings.Split(id, "/")
	m := map[string]any{
		"id": id, "namespace": f[0], "name": f[len(f)-1], "kind": "ConfigMap", "apiVersion": "v1", "apiGroup": "",
		"labels": map[string]any{}, "annotations": map[string]any{}, "createdAt": "2026-01-15T10:30:00Z",
	}
	return edited(m, edits)
}

// item is an upsert of dot-ai's contract.
func item(name string, edits ...map[string]any) map[string]any {
	return edited(map[string]any{
		"namespace": "shop", "name": name, "kind": "ConfigMap", "apiVersion": "v1",
		"createdAt": "2026-01-15T10:30:00Z", "updatedAt": "2026-01-15T10:30:00Z",
	}, edits)
}

func edited(m map[string]any, edits []map[string]any) map[string]any {
	for _, e := range edits {
		maps.Copy(m, e)
	}
	for k, v := range m {
		if v == absent {
			delete(m, k)
		}
	}
	return m
}

// absent removes a field.
var absent any = struct{ absent bool }{true}

func body(upserts []map[string]any, deletes ...any) string {
	m := map[string]any{}
	if upserts != nil {
		m["upserts"] = upserts
	}
	if deletes != nil {
		m["deletes"] = deletes
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(m); err != nil {
		panic(fmt.Sprintf("encoding test payload: %v", err))
	}
	return b.String()
}

func many(n int, format string) []map[string]any {
	out := make([]map[string]any, n)
	for i := range out {
		out[i] = instance(fmt.Sprintf(format, i))
	}
	return out
}

// at returns the value at a path of keys and places in a JSON text, as text; "" where there is none.
func at(t *testing.T, text string, path ...any) string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("answer is no JSON: %v: %q", err, text)
	}
	for _, p := range path {
		switch c := v.(type) {
		case map[string]any:
			v = c[fmt.Sprint(p)]
		case []any:
			i, ok := p.(int)
			if !ok || i >= len(c) {
				return ""
			}
			v = c[i]
		default:
			return ""
		}
	}
	if v == nil {
		return ""
	}
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// await waits until the receiver's status is good.
func (r *rig) await(good func(receiver.Status) bool) receiver.Status {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		s := r.Status()
		if good(s) {
			return s
		}
		select {
		case <-r.t.Context().Done():
			r.t.Fatalf("%v: %+v", r.t.Context().Err(), s)
		case <-tick.C:
		}
	}
}
