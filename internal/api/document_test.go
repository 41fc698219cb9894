package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

func TestDocumentAsJSONIsTheYAML(t *testing.T) {
	t.Parallel()
	y, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	j, err := yaml.YAMLToJSONStrict(y)
	if err != nil {
		t.Fatal(err)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, j, "", " "); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	golden(t, "openapi.json", pretty.Bytes())
}

// document loads the document that the server serves. All its objects are closed, so that a field that is missing
// in the document fails the validation.
func document(t *testing.T) (*openapi3.T, routers.Router) {
	t.Helper()
	w := do(t, api.New(full(), api.Options{}).Handler(), "GET", "/openapi.json", "")
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("the document itself is invalid: %v", err)
	}
	closed := false
	for _, s := range doc.Components.Schemas {
		s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return doc, router
}

func TestDocumentHasExactlyTheRoutesOfTheServer(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	var want, got []string
	for _, rt := range api.New(full(), api.Options{}).Routes() {
		want = append(want, rt[0]+" "+strings.TrimSuffix(rt[1], "{$}"))
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			got = append(got, method+" "+path)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("server without -, document without +:\n%s", diff)
	}
}

// TestDocumentHasExactlyTheFieldsOfTheTypes also holds for fields that occur in no answer of the other tests. It
// holds "required" to be the fields that are never left out.
func TestDocumentHasExactlyTheFieldsOfTheTypes(t *testing.T) {
	t.Parallel()
	doc, _ := document(t)
	types := []any{
		api.Result{}, api.Error{}, api.Progress{}, api.Operations{}, api.Operation{}, api.Share{}, api.TypeFailure{}, api.Status{}, api.TypeStatus{},
		api.Discovery{}, api.FailedGroup{}, api.Target{}, api.HeldRepair{}, api.Quarantined{}, api.ResyncStatus{}, api.Ring{}, api.Member{}, api.Owner{},
		api.Verification{}, api.TypeVerdict{}, api.VerificationList{},
	}
	names := []string{"ResyncRequest", "VerifyRequest"}
	for _, v := range types {
		typ := reflect.TypeOf(v)
		names = append(names, typ.Name())
		t.Run(typ.Name(), func(t *testing.T) {
			s := doc.Components.Schemas[typ.Name()]
			if s == nil {
				t.Fatal("the document lacks it")
			}
			var fields, required []string
			for f := range typ.Fields() {
				name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
				fields = append(fields, name)
				if opts == "" {
					required = append(required, name)
				}
			}
			slices.Sort(fields)
			if diff := cmp.Diff(fields, slices.Sorted(maps.Keys(s.Value.Properties))); diff != "" {
				t.Errorf("fields (-Go +document):\n%s", diff)
			}
			if diff := cmp.Diff(required, s.Value.Required); diff != "" {
				t.Errorf("required (-Go +document):\n%s", diff)
			}
		})
	}
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(doc.Components.Schemas))); diff != "" {
		t.Errorf("schemas (-Go +document):\n%s", diff)
	}
	want := slices.Sorted(slices.Values(api.Fields))
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(doc.Components.Schemas["ResyncRequest"].Value.Properties))); diff != "" {
		t.Errorf("fields of a request (-Go +document):\n%s", diff)
	}
}

// call is a request whose answer is compared with the document.
type call struct {
	method, target, body string
	header               []string
	backend              *backend // full() if nil
	opts                 api.Options
	times                int // how many times it is sent, of which the last answer counts; 1 if 0
	want                 int
}

// once lets one request pass and no other for 30 years.
var once = api.Limit{PerSecond: 1e-9, Burst: 1}

// calls are one request for each answer of each route.
func calls() []call {
	all := []call{
		{method: "POST", target: "/api/v1/resync?wait=false", want: 202},
		{method: "POST", target: "/api/v1/resync?timeout=1ns", want: 202},
		{method: "POST", target: "/api/v1/resync", body: `{"scope":"replica","resource":"pods","wait":false}`, header: []string{"Content-Type", "application/json"}, want: 202},
		{method: "POST", target: "/api/v1/resync?scope=all", want: 400},
		{method: "POST", target: "/api/v1/resync", backend: &backend{startErr: &api.NotFoundError{What: "namespace", Name: "shpo", Suggestions: []string{"shop"}}}, want: 404},
		{method: "POST", target: "/api/v1/resync", body: `{"resource":"` + strings.Repeat("a", 65<<10) + `"}`, want: 413},
		{method: "POST", target: "/api/v1/resync", body: "x", header: []string{"Content-Type", "text/html"}, want: 415},
		{method: "POST", target: "/api/v1/resync?wait=false", opts: api.Options{Resyncs: once}, times: 2, want: 429},
		{method: "POST", target: "/api/v1/resync", backend: &backend{startErr: errors.New("boom")}, want: 500},
		{method: "POST", target: "/api/v1/resync", backend: &backend{startErr: api.ErrNotReady}, want: 503},
		{method: "GET", target: "/api/v1/resync", want: 200},
		{method: "GET", target: "/api/v1/resync", backend: &backend{}, want: 200},
		{method: "GET", target: "/api/v1/resync/op-0", want: 200},
		{method: "GET", target: "/api/v1/resync/op-7", want: 404},
		{method: "POST", target: "/api/v1/verify", want: 200},
		{method: "POST", target: "/api/v1/verify?resource=pods&wait=false", want: 202},
		{method: "POST", target: "/api/v1/verify?timeout=1ns", want: 202},
		{method: "POST", target: "/api/v1/verify?force=true", want: 400},
		{method: "POST", target: "/api/v1/verify", backend: &backend{startErr: &api.NotFoundError{What: "watched resource", Name: "pod", Suggestions: []string{"pods"}}}, want: 404},
		{method: "POST", target: "/api/v1/verify", body: `{"resource":"` + strings.Repeat("a", 65<<10) + `"}`, want: 413},
		{method: "POST", target: "/api/v1/verify", body: "x", header: []string{"Content-Type", "text/html"}, want: 415},
		{method: "POST", target: "/api/v1/verify?wait=false", opts: api.Options{Resyncs: once}, times: 2, want: 429},
		{method: "POST", target: "/api/v1/verify", backend: &backend{startErr: errors.New("boom")}, want: 500},
		{method: "POST", target: "/api/v1/verify", backend: &backend{startErr: api.ErrNotReady}, want: 503},
		{method: "GET", target: "/api/v1/verify", want: 200},
		{method: "GET", target: "/api/v1/verify/v-0", want: 200},
		{method: "GET", target: "/api/v1/verify/v-7", want: 404},
		{method: "GET", target: "/api/v1/status", want: 200},
		{method: "GET", target: "/api/v1/ring", want: 200},
		{method: "GET", target: "/api/v1/ring", backend: &backend{ring: troubled()}, want: 200},
		{method: "GET", target: "/api/v1/owner?id=default/apps/v1/Deployment/nginx", want: 200},
		{method: "GET", target: "/api/v1/owner?id=nginx", want: 400},
		{method: "GET", target: "/api/v1/owner", want: 400},
		{method: "GET", target: "/api/v1/owner?id=a/v1/B/c", backend: &backend{ownerErr: api.ErrNotReady}, want: 503},
		{method: "GET", target: "/api/v1/owner?id=a/v1/B/c", backend: &backend{ownerErr: errors.New("boom")}, want: 500},
		{method: "GET", target: "/", want: 200},
		{method: "GET", target: "/ring", want: 200},
		{method: "GET", target: "/ring?refresh=0", want: 400},
		{method: "GET", target: "/status", want: 200},
		{method: "GET", target: "/status?refresh=0", want: 400},
		{method: "GET", target: "/openapi.json", want: 200},
		{method: "GET", target: "/openapi.yaml", want: 200},
	}
	refuse := func(code int) api.Options {
		return api.Options{Authorize: func(*http.Request) (bool, int, error) { return false, code, errors.New("refused") }}
	}
	for _, target := range []string{"/", "/ring", "/status", "/api/v1/status", "/api/v1/ring", "/api/v1/resync", "/api/v1/resync/op-0", "/api/v1/verify", "/api/v1/verify/v-0", "/api/v1/owner?id=a/v1/B/c", "/openapi.json", "/openapi.yaml"} {
		for _, code := range []int{401, 403, 500} {
			all = append(all, call{method: "GET", target: target, opts: refuse(code), want: code})
		}
		all = append(all, call{method: "GET", target: target, opts: api.Options{Reads: once}, times: 2, want: 429})
	}
	return append(all,
		call{method: "POST", target: "/api/v1/resync", opts: refuse(403), want: 403},
		call{method: "POST", target: "/api/v1/verify", opts: refuse(403), want: 403},
		call{method: "POST", target: "/api/v1/resync", header: []string{"Sec-Fetch-Site", "cross-site"}, want: 403},
		call{method: "DELETE", target: "/api/v1/resync", want: 405},
	)
}

func TestEveryAnswerIsAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	doc, router := document(t)
	seen := map[string]bool{"POST /api/v1/resync 200": true} // it waits, and the next test validates it
	for _, x := range calls() {
		name := fmt.Sprintf("%s %s %d", x.method, x.target, x.want)
		w := x.do(t)
		if w.Code != x.want {
			t.Errorf("%s: got %d: %s", name, w.Code, w.Body)
			continue
		}
		if route := conforms(t, router, x.method, x.target, w); route != nil {
			code := strconv.Itoa(w.Code)
			if route.Operation.Responses.Value(code) == nil {
				code = "default"
			}
			seen[route.Method+" "+route.Path+" "+code] = true
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for code := range op.Responses.Map() {
				if key := method + " " + path + " " + code; !seen[key] {
					t.Errorf("%s is documented and was not seen", key)
				}
			}
		}
	}
}

func TestAnswerThatWaitedIsAsTheDocumentSays(t *testing.T) {
	t.Parallel()
	_, router := document(t)
	w := do(t, api.New(&finisher{&backend{}}, api.Options{}).Handler(), "POST", "/api/v1/resync", "")
	if conforms(t, router, "POST", "/api/v1/resync", w); w.Code != 200 {
		t.Errorf("got %d", w.Code)
	}
}

// finisher is a backend whose resyncs are done as soon as they are started.
type finisher struct{ *backend }

func (f *finisher) StartResync(ctx context.Context, r api.Request) (api.Operation, error) {
	op, err := f.backend.StartResync(ctx, r)
	f.finish(op.ID, api.OperationDone, 7, "")
	return op, err
}

func (x call) do(t *testing.T) *httptest.ResponseRecorder {
	t.Helper()
	b := x.backend
	if b == nil {
		b = full()
	}
	h := api.New(b, x.opts).Handler()
	w := do(t, h, x.method, x.target, x.body, x.header...)
	for range x.times - 1 {
		w = do(t, h, x.method, x.target, x.body, x.header...)
	}
	return w
}

// conforms compares an answer with the document and returns its route. The route is nil when the document has none
// and the answer is the error that it should be.
func conforms(t *testing.T, router routers.Router, method, target string, w *httptest.ResponseRecorder) *routers.Route {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, target, http.NoBody)
	route, params, err := router.FindRoute(r)
	if err != nil {
		if e := decode[api.Error](t, w); e.Status != "error" {
			t.Errorf("%s %s has no route and answers %s", method, target, w.Body)
		}
		return nil
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 w.Code,
		Header:                 w.Header(),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(w.Body.Bytes())
	if err := openapi3filter.ValidateResponse(t.Context(), in); err != nil {
		t.Errorf("%s %s: %v", method, target, err)
	}
	return route
}
