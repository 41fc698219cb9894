//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestResyncOnRequestRestoresWhatTheReceiverLost empties the receiver, which the controller cannot know, and asks.
func TestResyncOnRequestRestoresWhatTheReceiverLost(t *testing.T) {
	beside(t, 30*time.Second)
	r := fleet.New(t, fleet.Options{})
	c := cluster(t, r, 2000)
	p := r.Start(nil)
	p.WaitReady(time.Minute)
	r.WaitEqual(time.Minute)
	waitCheckpoint(t, r, p)
	doc := document(t, p)
	objects := r.Objects()
	namespace, _, _ := strings.Cut(string(c.IDs()[len(c.IDs())/2]), "/")

	for name, s := range map[string]struct {
		query   string
		belongs func(id string) bool
	}{
		"everything":   {"", func(string) bool { return true }},
		"one resource": {"?resource=deployments.apps", func(id string) bool { return strings.Contains(id, "/apps/v1/Deployment/") }},
		"one namespace": {"?namespace=" + namespace, func(id string) bool {
			return strings.HasPrefix(id, namespace+"/")
		}},
		"one resource of one namespace": {"?resource=Pods.v1&namespace=" + namespace, func(id string) bool {
			return strings.HasPrefix(id, namespace+"/v1/Pod/")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := r.Receiver().Clear(receiver.Instances); err != nil {
				t.Fatal(err)
			}
			want := 0
			for id := range objects {
				if s.belongs(string(id)) {
					want++
				}
			}
			if want == 0 {
				t.Fatal("the cluster has no such object")
			}
			mark := r.Mark()
			code, body := doc.ask(t, http.MethodPost, "/api/v1/resync"+s.query)
			literal := fmt.Sprintf(`{"status":"ok","resources":%d,"message":"resynced %d resources"}`, want, want)
			if code != http.StatusOK || body != literal {
				t.Fatalf("answer %d %s\nwant   200 %s", code, body, literal)
			}
			sent := 0
			for _, rec := range r.Since(mark) {
				for _, u := range rec.Upserts {
					sent++
					if !s.belongs(u.ID) {
						t.Fatalf("%s was sent and not asked for", u.ID)
					}
				}
			}
			if sent != want || r.Receiver().Len(receiver.Instances) != want {
				t.Errorf("%d objects were sent and %d arrived, want %d", sent, r.Receiver().Len(receiver.Instances), want)
			}
		})
	}
	if code, body := doc.ask(t, http.MethodPost, "/api/v1/resync"); code != http.StatusOK {
		t.Errorf("answer %d %s", code, body)
	}
	r.WaitEqual(0)

	for query, suggestion := range map[string]string{
		"?resource=deploymnets.apps":                       "deployments.apps",
		"?namespace=" + namespace[:len(namespace)-1] + "x": namespace,
	} {
		code, body := doc.ask(t, http.MethodPost, "/api/v1/resync"+query)
		var e api.Error
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("answer %d %s: %v", code, body, err)
		}
		if code != http.StatusNotFound || !strings.Contains(strings.Join(e.Suggestions, " "), suggestion) {
			t.Errorf("%s is answered %d %s, want 404 with %s among the suggestions", query, code, body, suggestion)
		}
	}
	for _, path := range []string{"/api/v1/status", "/api/v1/resync", "/api/v1/ring", "/api/v1/owner?id=default/v1/ConfigMap/any"} {
		if code, body := doc.ask(t, http.MethodGet, path); code != http.StatusOK {
			t.Errorf("GET %s is answered %d %s", path, code, body)
		}
	}
	if code, _ := doc.ask(t, http.MethodGet, "/api/v1/resync/none"); code != http.StatusNotFound {
		t.Errorf("an unknown resync is answered %d, want 404", code)
	}
}

// contract is the OpenAPI document that a replica serves.
type contract struct {
	address string
	router  routers.Router
}

// document reads the contract. It closes all objects, so that a field that is missing in the document fails the
// validation.
func document(t *testing.T, p *fleet.Replica) contract {
	t.Helper()
	code, body := p.Get("http://" + p.API + "/openapi.json")
	if code != http.StatusOK {
		t.Fatalf("the document is answered %d %s", code, body)
	}
	doc, err := openapi3.NewLoader().LoadFromData([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	for _, s := range doc.Components.Schemas {
		s.Value.AdditionalProperties = openapi3.AdditionalProperties{Has: &closed}
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return contract{address: p.API, router: router}
}

// ask makes a request and compares the answer with the document. It returns the answer without its last line feed.
func (c contract) ask(t *testing.T, method, target string) (code int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.address+target, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s %s is not in the document: %v", method, target, err)
	}
	in := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route},
		Status:                 resp.StatusCode,
		Header:                 resp.Header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true},
	}
	in.SetBodyBytes(content)
	if err := openapi3filter.ValidateResponse(t.Context(), in); err != nil {
		t.Errorf("%s %s: %v", method, target, err)
	}
	return resp.StatusCode, string(bytes.TrimRight(content, "\n"))
}
