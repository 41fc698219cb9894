package api_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

func request(query, body, contentType string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/api/v1/resync", strings.NewReader(body))
	r.URL.RawQuery = query
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

func TestRequestsAreReadFromQueryAndBody(t *testing.T) {
	t.Parallel()
	everything := api.Call{Request: api.Request{Scope: "fleet"}, Wait: true, Timeout: 10 * time.Minute}
	with := func(change func(*api.Call)) api.Call { c := everything; change(&c); return c }
	for name, tc := range map[string]struct {
		query, body, contentType string
		want                     api.Call
	}{
		"nothing":                    {want: everything},
		"white space":                {body: " \n", contentType: "text/html", want: everything},
		"empty object":               {body: "{}", want: everything},
		"null is nothing":            {body: `{"scope":null}`, want: everything},
		"query":                      {query: "scope=replica&force=true", want: with(func(c *api.Call) { c.Scope, c.Force = "replica", true })},
		"body":                       {body: `{"wait":false}`, want: with(func(c *api.Call) { c.Wait = false })},
		"body as strings":            {body: `{"wait":"false"}`, want: with(func(c *api.Call) { c.Wait = false })},
		"as curl -d sends it":        {body: `{"resource":"pods"}`, contentType: "application/x-www-form-urlencoded", want: with(func(c *api.Call) { c.Resource = "pods" })},
		"JSON with charset":          {body: `{"resource":"pods"}`, contentType: "application/json; charset=utf-8", want: with(func(c *api.Call) { c.Resource = "pods" })},
		"both":                       {query: "resource=pods", body: `{"namespace":"shop"}`, want: with(func(c *api.Call) { c.Resource, c.Namespace = "pods", "shop" })},
		"twice the same":             {query: "resource=pods&resource=pods", body: `{"resource":"pods"}`, want: with(func(c *api.Call) { c.Resource = "pods" })},
		"resource of a namespace":    {query: "resource=pods.v1@team-a", want: with(func(c *api.Call) { c.Resource = "pods.v1@team-a" })},
		"resource in capitals":       {query: "resource=Deployments.v1.Apps", want: with(func(c *api.Call) { c.Resource = "deployments.v1.apps" })},
		"cluster-scoped":             {query: "namespace=_cluster", want: with(func(c *api.Call) { c.Namespace = "_cluster" })},
		"shortest and longest waits": {query: "timeout=1h", want: with(func(c *api.Call) { c.Timeout = time.Hour })},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := api.ParseCall(request(tc.query, tc.body, tc.contentType))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequest_ParameterIsWrong_MessageSaysWhy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		query, body string
		want        string
		suggestions []string
	}{
		"scope": {query: "scope=flet", want: `scope "flet" is unknown, want fleet or replica`, suggestions: []string{"fleet"}},
		"misspelt parameter": {
			query: "namespce=shop", want: `unknown parameter "namespce", want one of scope, resource, namespace, force, wait, timeout`,
			suggestions: []string{"namespace"},
		},
		"misspelt field": {
			body: `{"Resource":"pods"}`, want: `unknown field "Resource", want one of scope, resource, namespace, force, wait, timeout`,
			suggestions: []string{"resource"},
		},
		"empty":              {query: "resource=", want: "resource is empty; leave it out to mean its default"},
		"two namespaces":     {query: "resource=pods.v1@a@b", want: `resource "pods.v1@a@b" is no name of a resource, want one such as deployments, deployments.apps or deployments.v1.apps`},
		"slash":              {query: "resource=apps/v1/deployments", want: `resource "apps/v1/deployments" is no name of a resource, want one such as deployments, deployments.apps or deployments.v1.apps`},
		"namespace":          {query: "namespace=Shop", want: `namespace "Shop" is no name of a namespace, want one such as default, or _cluster for cluster-scoped objects`},
		"force":              {query: "force=yes", want: `force is "yes", want true or false`},
		"timeout":            {query: "timeout=30", want: `timeout "30" is not in range, want a duration above 0s and up to 1h, such as 90s or 10m`},
		"number as timeout":  {body: `{"timeout":30}`, want: `timeout "30" is not in range, want a duration above 0s and up to 1h, such as 90s or 10m`},
		"no timeout":         {query: "timeout=0s", want: `timeout "0s" is not in range, want a duration above 0s and up to 1h, such as 90s or 10m`},
		"long timeout":       {query: "timeout=61m", want: `timeout "61m" is not in range, want a duration above 0s and up to 1h, such as 90s or 10m`},
		"timeout for no one": {query: "wait=false&timeout=1m", want: "timeout bounds the wait and means nothing with wait=false; leave one of them out"},
		"contradiction":      {query: "resource=pods", body: `{"resource":"nodes"}`, want: `resource is given twice, as "pods" and as "nodes"; give it once`},
		"twice in the body":  {body: `{"scope":"fleet","scope":"replica"}`, want: `scope is given twice, as "fleet" and as "replica"; give it once`},
		"list":               {body: `{"resource":["pods","nodes"]}`, want: `"resource" must be a string or a boolean`},
		"array":              {body: `[]`, want: `the body must be one JSON object such as {"resource":"deployments.apps"}: it is none`},
		"two objects":        {body: `{}{}`, want: `the body must be one JSON object such as {"resource":"deployments.apps"}: something follows it`},
		"all at once": {
			query: "scope=x&force=1&namespce=a", suggestions: []string{"namespace"},
			want: `unknown parameter "namespce", want one of scope, resource, namespace, force, wait, timeout; scope "x" is unknown, want fleet or replica; force is "1", want true or false`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := api.ParseCall(request(tc.query, tc.body, ""))
			bad, ok := errors.AsType[*api.BadRequestError](err)
			if !ok {
				t.Fatalf("got %v, want a BadRequestError", err)
			}
			if diff := cmp.Diff(&api.BadRequestError{Message: tc.want, Suggestions: tc.suggestions}, bad); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestResync_RequestIsWrong_StartsNothing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		target, body, contentType string
		want                      int
	}{
		"bad":            {"/api/v1/resync?scope=x", "", "", 400},
		"half a body":    {"/api/v1/resync", `{"resource":"po`, "", 400},
		"bad query":      {"/api/v1/resync?resource=%zz", "", "", 400},
		"too large":      {"/api/v1/resync", strings.Repeat(" ", 64<<10) + "{}", "", 413},
		"not JSON":       {"/api/v1/resync", "<a/>", "application/xml", 415},
		"no type at all": {"/api/v1/resync", "{}", "///", 415},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &backend{}
			w := do(t, api.New(b, api.Options{}).Handler(), "POST", tc.target, tc.body, "Content-Type", tc.contentType)
			if e := decode[api.Error](t, w); w.Code != tc.want || e.Status != "error" || len(b.asked()) != 0 {
				t.Errorf("got %d %+v, %d started", w.Code, e, len(b.asked()))
			}
		})
	}
}

func TestLargestBodyIsRead(t *testing.T) {
	t.Parallel()
	b := &backend{}
	body := strings.Repeat(" ", 64<<10-len(`{"wait":false}`)) + `{"wait":false}`
	if w := do(t, api.New(b, api.Options{}).Handler(), "POST", "/api/v1/resync", body); w.Code != 202 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
}

// FuzzParseCall: a request is either refused by a typed error with a message, or it is within its bounds, and reads
// the same when it is written as a query again.
func FuzzParseCall(f *testing.F) {
	f.Add("", "", "")
	f.Add("scope=replica&resource=deployments.apps&namespace=shop&force=true&wait=true&timeout=90s", "", "")
	f.Add("wait=false", `{"scope":"fleet","resource":"pods","namespace":"_cluster","force":false}`, "application/json")
	f.Add("%zz&&=;", `{"a":{"b":[1,2,{}]},"force":1e999,"scope":null}`, "text/plain; charset=x")
	f.Add("scope=fleet&scope=replica", `[`, "multipart/form-data; boundary=a")
	name := regexp.MustCompile(`^[a-z0-9.-]{0,253}$`)
	namespace := regexp.MustCompile(`^([a-z0-9-]{0,63}|_cluster)$`)
	f.Fuzz(func(t *testing.T, query, body, contentType string) {
		got, err := api.ParseCall(request(query, body, contentType))
		if err != nil {
			if err.Error() == "" {
				t.Fatalf("%T says nothing", err)
			}
			return
		}
		if got.Scope != "fleet" && got.Scope != "replica" {
			t.Errorf("scope %q", got.Scope)
		}
		if !name.MatchString(got.Resource) || !namespace.MatchString(got.Namespace) {
			t.Errorf("resource %q, namespace %q", got.Resource, got.Namespace)
		}
		if got.Timeout <= 0 || got.Timeout > time.Hour {
			t.Errorf("timeout %s", got.Timeout)
		}
		q := url.Values{"scope": {string(got.Scope)}, "force": {strconv.FormatBool(got.Force)}, "wait": {strconv.FormatBool(got.Wait)}}
		if got.Wait {
			q.Set("timeout", got.Timeout.String())
		}
		if got.Resource != "" {
			q.Set("resource", got.Resource)
		}
		if got.Namespace != "" {
			q.Set("namespace", got.Namespace)
		}
		again, err := api.ParseCall(request(q.Encode(), "", ""))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("read again as a query:\n%s", diff)
		}
	})
}
