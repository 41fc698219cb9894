package access_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// TestReviews asks an API server that allows by verb, resource and namespace, and one that forbids even the
// question.
func TestReviews(t *testing.T) {
	t.Parallel()
	const forbidden = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","code":403}`
	for name, test := range map[string]struct {
		allowed      map[string]bool
		unaskable    bool
		slice        bool
		read, all    bool
		getNamespace bool
	}{
		"nothing":                    {},
		"list alone":                 {allowed: map[string]bool{"list pods in a": true}, slice: true},
		"list and watch of a slice":  {allowed: map[string]bool{"list pods in a": true, "watch pods in a": true}, slice: true, read: true},
		"of a slice, asked of all":   {allowed: map[string]bool{"list pods in a": true, "watch pods in a": true}},
		"everything":                 {allowed: map[string]bool{"list * in ": true, "watch * in ": true, "list pods in ": true, "watch pods in ": true}, read: true, all: true},
		"a namespace by its name":    {allowed: map[string]bool{"get namespaces in a": true}, getNamespace: true},
		"nobody may ask, list fails": {unaskable: true, slice: true, getNamespace: true},
		"nobody may ask, list works": {unaskable: true, slice: true, getNamespace: true, read: true, allowed: map[string]bool{"list pods in a": true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if r.URL.Path == "/api/v1/namespaces/a/pods" && test.allowed["list pods in a"] {
					_, _ = fmt.Fprint(w, `{"kind":"PartialObjectMetadataList","apiVersion":"meta.k8s.io/v1","metadata":{},"items":[]}`)
					return
				}
				var review authorizationv1.SelfSubjectAccessReview
				if test.unaskable || json.NewDecoder(r.Body).Decode(&review) != nil {
					w.WriteHeader(http.StatusForbidden)
					_, _ = fmt.Fprint(w, forbidden)
					return
				}
				of := review.Spec.ResourceAttributes
				review.Status.Allowed = test.allowed[of.Verb+" "+of.Resource+" in "+of.Namespace]
				w.WriteHeader(http.StatusCreated)
				_ = json.NewEncoder(w).Encode(review)
			}))
			t.Cleanup(server.Close)
			config := &rest.Config{Host: server.URL, ContentConfig: rest.ContentConfig{ContentType: "application/json"}}
			reviews, err := authorizationv1client.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			client, err := metadata.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			r := access.NewReviews(reviews, client)
			typ := resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
			if test.slice {
				typ = typ.In("a")
			}
			if got, err := r.MayRead(t.Context(), typ); err != nil || got != test.read {
				t.Errorf("MayRead is %t (error %v), want %t", got, err, test.read)
			}
			if got, err := r.MayReadAll(t.Context()); err != nil || got != test.all {
				t.Errorf("MayReadAll is %t (error %v), want %t", got, err, test.all)
			}
			if got, err := r.MayGetNamespace(t.Context(), "a"); err != nil || got != test.getNamespace {
				t.Errorf("MayGetNamespace is %t (error %v), want %t", got, err, test.getNamespace)
			}
		})
	}
	t.Run("no answer", func(t *testing.T) {
		t.Parallel()
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		config := &rest.Config{Host: server.URL}
		reviews, _ := authorizationv1client.NewForConfig(config)
		client, _ := metadata.NewForConfig(config)
		r := access.NewReviews(reviews, client)
		if allowed, err := r.MayRead(t.Context(), resource.Type{Version: "v1", Resource: "pods"}); err == nil || allowed {
			t.Errorf("MayRead is %t (error %v), want an error", allowed, err)
		}
	})
}
