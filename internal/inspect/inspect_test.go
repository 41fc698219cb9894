package inspect_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/inspect"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake has one value of each kind.
type fake struct{}

func (fake) Object(id resource.ID) inspect.Object {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return inspect.Object{ID: string(id), Type: "pods.v1", Partition: 7, Owner: "a-0", MaySend: true, Targets: []inspect.Item{{
		Target: "default", Place: "queued", Operation: "upsert", State: &inspect.State{Version: 12, Digest: "00000000000000ff"}, DirtySince: &since,
		Failure: &inspect.Failure{Tries: 2, Outcome: "retry", Reason: "HTTP 429 <slow>", At: since}, Acknowledged: 1 << 60,
	}}}
}

func (fake) Types(target, name string) []inspect.Type {
	if target == "other" || name == "widgets" {
		return nil
	}
	return []inspect.Type{{Target: "default", Type: "pods.v1", Recovery: "replayed"}}
}

func (fake) Checkpoints(_, name string) []inspect.Checkpoint {
	if name == "none" {
		return nil
	}
	return []inspect.Checkpoint{{Target: "default", Name: "ring-a-0/checkpoint"}}
}

// nothing has no data.
type nothing struct{ fake }

func (nothing) Types(string, string) []inspect.Type             { return nil }
func (nothing) Checkpoints(string, string) []inspect.Checkpoint { return nil }

func serve(s inspect.Source) http.Handler {
	mux := http.NewServeMux()
	for path, h := range inspect.Handlers(s) {
		mux.Handle(path, h)
	}
	return mux
}

func ask(t *testing.T, h http.Handler, method, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody))
	return w
}

func TestObject_IsShownAsAPersonReadsIt(t *testing.T) {
	t.Parallel()
	w := ask(t, serve(fake{}), http.MethodGet, "/debug/objects?id=a/v1/Pod/x")
	const want = `{
  "id": "a/v1/Pod/x",
  "type": "pods.v1",
  "partition": 7,
  "owner": "a-0",
  "maySend": true,
  "targets": [
    {
      "target": "default",
      "place": "queued",
      "operation": "upsert",
      "state": {
        "version": "12",
        "digest": "00000000000000ff"
      },
      "dirtySince": "2026-01-02T03:04:05Z",
      "inFlight": false,
      "inDoubt": false,
      "failure": {
        "tries": 2,
        "outcome": "retry",
        "reason": "HTTP 429 <slow>",
        "at": "2026-01-02T03:04:05Z"
      },
      "acknowledged": "1152921504606846976"
    }
  ]
}
`
	if diff := cmp.Diff(want, w.Body.String()); diff != "" {
		t.Errorf("answer (-want +got):\n%s", diff)
	}
	for name, value := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := w.Header().Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
}

func TestRequests_AreAnsweredByWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	for target, tt := range map[string]struct {
		source inspect.Source
		method string
		code   int
		text   string
	}{
		"/debug/objects":                        {fake{}, "GET", 400, "parameter id"},
		"/debug/objects?id=a/Pod/x":             {fake{}, "GET", 400, "3 components"},
		"/debug/objects?id=a/v1/Pod/x":          {fake{}, "POST", 405, "want GET"},
		"/debug/types":                          {fake{}, "GET", 200, `"recovery": "replayed"`},
		"/debug/types?type=pods":                {fake{}, "GET", 200, `"recovery": "replayed"`},
		"/debug/types?type=widgets":             {fake{}, "GET", 404, "widgets"},
		"/debug/types?target=other":             {fake{}, "GET", 404, "other"},
		"/debug/types?":                         {nothing{}, "GET", 200, `"types": []`},
		"/debug/checkpoints":                    {fake{}, "GET", 200, `"ring-a-0/checkpoint"`},
		"/debug/checkpoints?name=none":          {fake{}, "GET", 404, "none"},
		"/debug/checkpoints?":                   {nothing{}, "GET", 200, `"checkpoints": []`},
		"/debug/pprof/":                         {fake{}, "GET", 200, "goroutine"},
		"/debug/pprof/goroutine?debug=1":        {fake{}, "GET", 200, "goroutine profile"},
		"/debug/pprof/nothing":                  {fake{}, "GET", 404, "Unknown profile"},
		"/debug/pprof/profile?seconds=301":      {fake{}, "GET", 400, "from 0 to 300"},
		"/debug/pprof/profile?seconds=NaN":      {fake{}, "GET", 400, "from 0 to 300"},
		"/debug/pprof/trace?seconds=1e9":        {fake{}, "GET", 400, "from 0 to 300"},
		"/debug/pprof/goroutine?seconds=999999": {fake{}, "GET", 400, "from 0 to 300"},
		"/debug/pprof/heap":                     {fake{}, "DELETE", 405, "want GET"},
		"/debug/pprof/trace?seconds=-1":         {fake{}, "GET", 400, "from 0 to 300"},
	} {
		w := ask(t, serve(tt.source), tt.method, target)
		if w.Code != tt.code || !strings.Contains(w.Body.String(), tt.text) {
			t.Errorf("%s %s: %d %s, want %d with %q", tt.method, target, w.Code, w.Body, tt.code, tt.text)
		}
	}
}
