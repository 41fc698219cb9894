package api_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

func TestForceIsForCallersFromHereOrAllowed(t *testing.T) {
	t.Parallel()
	allow := func(r *http.Request) (bool, int, error) {
		switch r.Header.Get("Authorization") {
		case "Bearer good":
			return true, 0, nil
		case "Bearer other":
			return false, http.StatusForbidden, nil
		default:
			return false, http.StatusUnauthorized, nil
		}
	}
	tests := map[string]struct {
		from, query string
		header      http.Header
		auth, none  bool
		want        int
	}{
		"a pod, without force":          {from: "10.1.2.3:4", query: "wait=false", want: 202},
		"a pod":                         {from: "10.1.2.3:4", query: "wait=false&force=true", want: 403},
		"a pod of a nameless network":   {from: "@", query: "wait=false&force=true", want: 403},
		"a port-forward":                {from: "127.0.0.1:4", query: "wait=false&force=true", want: 202},
		"a port-forward over IPv6":      {from: "[::1]:4", query: "wait=false&force=true", want: 202},
		"a proxy beside us":             {from: "127.0.0.6:4", query: "wait=false&force=true", header: http.Header{"X-Forwarded-For": {"10.1.2.3"}}, want: 403},
		"a pod with a token":            {from: "10.1.2.3:4", query: "wait=false&force=true", header: http.Header{"Authorization": {"Bearer good"}}, want: 202},
		"a pod with another's token":    {from: "10.1.2.3:4", query: "wait=false&force=true", header: http.Header{"Authorization": {"Bearer other"}}, want: 403},
		"a pod with a wrong token":      {from: "10.1.2.3:4", query: "wait=false&force=true", header: http.Header{"Authorization": {"Bearer x"}}, want: 401},
		"a token that nobody can check": {from: "10.1.2.3:4", query: "wait=false&force=true", header: http.Header{"Authorization": {"Bearer good"}}, none: true, want: 403},
		"everybody was authorized":      {from: "10.1.2.3:4", query: "wait=false&force=true", header: http.Header{"Authorization": {"Bearer good"}}, auth: true, want: 202},
	}
	for name, tt := range tests {
		opts := api.Options{Destroy: allow}
		if tt.none {
			opts.Destroy = nil
		}
		if tt.auth {
			opts.Authorize, opts.Destroy = allow, nil
		}
		s := api.New(full(), opts)
		r := httptest.NewRequest(http.MethodPost, "/api/v1/resync?"+tt.query, nil)
		r.RemoteAddr = tt.from
		maps.Copy(r.Header, tt.header)
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, tt.want)
		}
	}
}
