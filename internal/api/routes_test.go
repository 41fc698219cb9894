package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

func TestAnswersHoldWhatTheBackendSays(t *testing.T) {
	t.Parallel()
	b := full()
	h := api.New(b, api.Options{}).Handler()
	if diff := cmp.Diff(b.status, decode[api.Status](t, do(t, h, "GET", "/api/v1/status", ""))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(b.ring, decode[api.Ring](t, do(t, h, "GET", "/api/v1/ring", ""))); diff != "" {
		t.Error(diff)
	}
	want := api.Owner{ID: "_cluster/v1/Node/a", Partition: 17, Member: "sync-1", Reason: "another member owns it", Known: true}
	if diff := cmp.Diff(want, decode[api.Owner](t, do(t, h, "GET", "/api/v1/owner?id=_cluster/v1/Node/a", ""))); diff != "" {
		t.Error(diff)
	}
}

func TestNoListIsEverNull(t *testing.T) {
	t.Parallel()
	b := &backend{
		status: api.Status{Targets: []api.Target{{}}, Resync: api.ResyncStatus{Last: &api.Operation{}}},
		ring:   api.Ring{Members: []api.Member{{}}},
	}
	h := api.New(b, api.Options{}).Handler()
	for _, path := range []string{"/api/v1/status", "/api/v1/ring", "/api/v1/resync", "/nowhere"} {
		if body := do(t, h, "GET", path, "").Body.String(); strings.Contains(body, "null") {
			t.Errorf("%s: %s", path, body)
		}
	}
}

func TestUnknownPathsAreJSON(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	for path, want := range map[string][]string{
		"/api/v1/stauts":     {"/api/v1/status"},
		"/ring/":             {"/ring"},
		"/healthz":           nil,
		"/api/v1/resync/":    {"/api/v1/resync"},
		"/%3Cscript%3E":      nil,
		"/api/v1/resync/a/b": {"/api/v1/resync"},
	} {
		w := do(t, h, "GET", path, "")
		e := decode[api.Error](t, w)
		if w.Code != 404 || e.Status != "error" || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s: got %d %+v", path, w.Code, e)
		}
		if len(want) > 0 && (len(e.Suggestions) == 0 || e.Suggestions[0] != want[0]) || len(want) == 0 && len(e.Suggestions) > 0 {
			t.Errorf("%s: got suggestions %v, want %v first", path, e.Suggestions, want)
		}
	}
}

func TestOtherMethodsAreToldWhatIsAllowed(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	for path, want := range map[string]string{
		"/":                   "GET, HEAD",
		"/ring":               "GET, HEAD",
		"/status":             "GET, HEAD",
		"/openapi.json":       "GET, HEAD",
		"/api/v1/status":      "GET, HEAD",
		"/api/v1/resync":      "GET, HEAD, POST",
		"/api/v1/resync/op-0": "GET, HEAD",
	} {
		for _, method := range []string{"DELETE", "PUT", "OPTIONS", "PROPFIND"} {
			w := do(t, h, method, path, "")
			if e := decode[api.Error](t, w); w.Code != 405 || w.Header().Get("Allow") != want || !strings.Contains(e.Message, want) {
				t.Errorf("%s %s: got %d, Allow %q, %+v", method, path, w.Code, w.Header().Get("Allow"), e)
			}
		}
		if w := do(t, h, "HEAD", path, ""); w.Code != 200 {
			t.Errorf("HEAD %s: got %d", path, w.Code)
		}
	}
}

func TestReadsAreRateLimited(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // for its clock, which stands still
		h := api.New(full(), api.Options{}).Handler()
		for i := range 200 {
			if w := do(t, h, "GET", "/api/v1/ring", ""); w.Code != 200 {
				t.Fatalf("read %d got %d", i, w.Code)
			}
		}
		if w := do(t, h, "GET", "/api/v1/status", ""); w.Code != 429 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("got %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
		}
		if w := do(t, h, "POST", "/api/v1/resync?wait=false", ""); w.Code != 202 {
			t.Errorf("a resync got %d", w.Code)
		}
		time.Sleep(10 * time.Millisecond)
		if w := do(t, h, "GET", "/api/v1/status", ""); w.Code != 200 {
			t.Errorf("a hundredth of a second later got %d", w.Code)
		}
	})
}

func TestForeignWebPagesCannotStartAResync(t *testing.T) {
	t.Parallel()
	b := &backend{}
	h := api.New(b, api.Options{}).Handler()
	for name, header := range map[string][]string{
		"another site":   {"Sec-Fetch-Site", "cross-site"},
		"a sister site":  {"Sec-Fetch-Site", "same-site"},
		"another origin": {"Origin", "https://evil.example"},
	} {
		w := do(t, h, "POST", "/api/v1/resync?wait=false", "", header...)
		if e := decode[api.Error](t, w); w.Code != 403 || e.Status != "error" || len(b.asked()) != 0 {
			t.Errorf("%s: got %d %+v", name, w.Code, e)
		}
	}
	if w := do(t, h, "POST", "/api/v1/resync?wait=false", "", "Sec-Fetch-Site", "same-origin"); w.Code != 202 {
		t.Errorf("our own page got %d", w.Code)
	}
}

func TestEveryAnswerHasSafeHeaders(t *testing.T) {
	t.Parallel()
	h := api.New(full(), api.Options{}).Handler()
	for _, path := range []string{"/", "/ring", "/status", "/api/v1/status", "/nowhere"} {
		got := do(t, h, "GET", path, "").Header()
		for name, want := range map[string]string{
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
			"Access-Control-Allow-Origin": "",
		} {
			if got.Get(name) != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got.Get(name), want)
			}
		}
		if p := got.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'none'; ") || strings.Contains(p, "unsafe") || strings.Contains(p, "script") {
			t.Errorf("%s: policy %q", path, p)
		}
	}
}

func TestAuthorizationGuardsEveryRoute(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code    int
		err     error
		want    int
		message string
	}{
		"no token":       {401, errors.New("a bearer token is required"), 401, "a bearer token is required"},
		"not allowed":    {403, nil, 403, "Forbidden"},
		"cannot tell":    {500, errors.New("dial 10.0.0.1: refused"), 500, "Internal Server Error"},
		"no status":      {0, errors.New("no"), 403, "no"},
		"a status of OK": {200, nil, 403, "Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := full()
			h := api.New(b, api.Options{Authorize: func(*http.Request) (bool, int, error) { return false, tc.code, tc.err }}).Handler()
			for _, path := range []string{"/", "/ring", "/status", "/api/v1/status", "/api/v1/ring", "/api/v1/resync", "/api/v1/resync/op-0", "/api/v1/owner?id=a/v1/B/c", "/openapi.json", "/nowhere"} {
				w := do(t, h, "GET", path, "")
				if e := decode[api.Error](t, w); w.Code != tc.want || e.Message != tc.message {
					t.Errorf("%s: got %d %+v", path, w.Code, e)
				}
				if got := w.Header().Get("WWW-Authenticate"); (got != "") != (tc.want == 401) {
					t.Errorf("%s: WWW-Authenticate %q with %d", path, got, w.Code)
				}
			}
			if do(t, h, "POST", "/api/v1/resync", ""); len(b.asked()) != 0 {
				t.Error("a resync was started")
			}
		})
	}
	h := api.New(full(), api.Options{Authorize: func(*http.Request) (bool, int, error) { return true, 0, nil }}).Handler()
	if w := do(t, h, "GET", "/api/v1/status", ""); w.Code != 200 {
		t.Errorf("allowed, got %d", w.Code)
	}
}

// panicking is a backend with a bug.
type panicking struct{ backend }

func (*panicking) Status(context.Context) api.Status { panic("oops") }

func TestPanicIs500AndLogged(t *testing.T) {
	t.Parallel()
	var log strings.Builder
	reg := prometheus.NewRegistry()
	h := api.New(&panicking{}, api.Options{
		Registerer: reg,
		Log:        funcr.New(func(_, args string) { log.WriteString(args) }, funcr.Options{}),
	}).Handler()
	w := do(t, h, "GET", "/api/v1/status", "")
	if e := decode[api.Error](t, w); w.Code != 500 || strings.Contains(e.Message, "oops") {
		t.Errorf("got %d %+v", w.Code, e)
	}
	if !strings.Contains(log.String(), "oops") || !strings.Contains(log.String(), "routes_test.go") {
		t.Errorf("the log lacks the panic or its stack: %s", log.String())
	}
	expectMetric(t, reg, "k8s_vectordb_sync_api_panics_total", `
# HELP k8s_vectordb_sync_api_panics_total Requests to the HTTP API that ended in a panic, which is a bug; 0 for ever.
# TYPE k8s_vectordb_sync_api_panics_total counter
k8s_vectordb_sync_api_panics_total 1
`)
}

// broken is a connection on which the first write panics, after the status has been sent.
type broken struct{ http.ResponseWriter }

func (broken) Write([]byte) (int, error) { panic("oops") }

func TestPanicInTheMiddleOfAnAnswerCutsTheConnection(t *testing.T) {
	t.Parallel()
	defer func() {
		if p := recover(); p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it like this, too.
			t.Errorf("got %v, want ErrAbortHandler", p)
		}
	}()
	api.New(full(), api.Options{}).Handler().ServeHTTP(broken{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/api/v1/ring", http.NoBody))
	t.Error("the answer went on")
}

func TestRequestsAreCounted(t *testing.T) {
	t.Parallel()
	reg := prometheus.NewRegistry()
	h := api.New(full(), api.Options{Registerer: reg}).Handler()
	before := testutil.CollectAndCount(reg, "k8s_vectordb_sync_api_requests_total")
	if before != 14 {
		t.Errorf("%d series at the start, want one for each of 14 routes", before)
	}
	do(t, h, "GET", "/api/v1/resync/op-0", "")
	do(t, h, "GET", "/api/v1/resync/op-1", "")
	do(t, h, "GET", "/some/path", "")
	do(t, h, "GET", "/other/path", "")
	do(t, h, "MKCOL", "/ring", "")
	do(t, h, "POST", "/api/v1/resync", "", "Sec-Fetch-Site", "cross-site")
	expectMetric(t, reg, "k8s_vectordb_sync_api_requests_total", `
# HELP k8s_vectordb_sync_api_requests_total Completed requests to the HTTP API, by route, method and status code; 499 means that the client had gone.
# TYPE k8s_vectordb_sync_api_requests_total counter
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/owner"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/resync"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/resync/{id}"} 1
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/ring"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/status"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/verify"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/api/v1/verify/{id}"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/openapi.json"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/openapi.yaml"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/ring"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/status"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="GET",route="/{$}"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="POST",route="/api/v1/resync"} 0
k8s_vectordb_sync_api_requests_total{code="200",method="POST",route="/api/v1/verify"} 0
k8s_vectordb_sync_api_requests_total{code="403",method="POST",route="other"} 1
k8s_vectordb_sync_api_requests_total{code="404",method="GET",route="/api/v1/resync/{id}"} 1
k8s_vectordb_sync_api_requests_total{code="404",method="GET",route="other"} 2
k8s_vectordb_sync_api_requests_total{code="405",method="other",route="/ring"} 1
`)
}

func expectMetric(t *testing.T, g prometheus.Gatherer, name, want string) {
	t.Helper()
	if err := testutil.GatherAndCompare(g, strings.NewReader(want), name); err != nil {
		t.Error(err)
	}
}
