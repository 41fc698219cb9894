package access_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
)

// TestClusterID_RightToReadKubeSystemAlone_IsKnown has an API server with the rights of the chart's role
// for a few types. The account may get the namespace kube-system, but not list namespaces.
func TestClusterID_RightToReadKubeSystemAlone_IsKnown(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		status int
		body   string
		want   string
	}{
		"allowed":   {200, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"kube-system","uid":"a-uid"}}`, "a-uid"},
		"forbidden": {403, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`, ""},
		"not there": {404, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`, ""},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.Method != http.MethodGet || r.URL.Path != "/api/v1/namespaces/kube-system" {
				w.WriteHeader(http.StatusForbidden)
				_, _ = fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`)
				return
			}
			w.WriteHeader(test.status)
			_, _ = fmt.Fprint(w, test.body)
		}))
		t.Cleanup(server.Close)
		restConfig := &rest.Config{Host: server.URL}
		client, err := metadata.NewForConfig(metadata.ConfigFor(restConfig))
		if err != nil {
			t.Fatal(err)
		}
		reviews, err := authorizationv1client.NewForConfig(restConfig)
		if err != nil {
			t.Fatal(err)
		}
		got, err := access.ClusterID(t.Context(), access.NewReviews(reviews, client), client, nil, logr.Discard())
		if err != nil || got != test.want {
			t.Errorf("%s: the cluster is %q (error %v), want %q", name, got, err, test.want)
		}
	}
}
