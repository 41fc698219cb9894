package kubeauth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kubeauth"
)

// apiServer knows the token "good" of user prometheus, who may get /metrics.
type apiServer struct {
	*fake.Clientset
	tokens, accesses int
	err              error
}

func newAPIServer() *apiServer {
	s := &apiServer{Clientset: fake.NewClientset()}
	s.PrependReactor("create", "tokenreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		s.tokens++
		review := a.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenReview).DeepCopy()
		review.Status.Authenticated = review.Spec.Token == "good" || review.Spec.Token == "other"
		review.Status.User = authenticationv1.UserInfo{Username: map[string]string{"good": "prometheus", "other": "eve"}[review.Spec.Token],
			Groups: []string{"scrapers"}, Extra: map[string]authenticationv1.ExtraValue{"pod": {"p"}}}
		return true, review, s.err
	})
	s.PrependReactor("create", "subjectaccessreviews", func(a clienttesting.Action) (bool, runtime.Object, error) {
		s.accesses++
		review := a.(clienttesting.CreateAction).GetObject().(*authorizationv1.SubjectAccessReview).DeepCopy()
		n := review.Spec.NonResourceAttributes
		review.Status.Allowed = review.Spec.User == "prometheus" && n.Verb == "get" && n.Path == "/metrics" &&
			len(review.Spec.Groups) == 1 && review.Spec.Extra["pod"][0] == "p"
		return true, review, s.err
	})
	return s
}

func ask(r *kubeauth.Reviewer, method, path, authorization string) (int, string) {
	req := httptest.NewRequest(method, path, nil)
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	w := httptest.NewRecorder()
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("inside")) })
	r.Wrap(inner, func(error) {}).ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

func TestKubeauth_EachRequest_TheAPIServerDecides(t *testing.T) {
	for name, tt := range map[string]struct {
		method, path, authorization string
		want                        int
	}{
		"allowed":             {"GET", "/metrics", "Bearer good", 200},
		"lower case scheme":   {"GET", "/metrics", "bearer good", 200},
		"no token":            {"GET", "/metrics", "", 401},
		"empty token":         {"GET", "/metrics", "Bearer ", 401},
		"another scheme":      {"GET", "/metrics", "Basic good", 401},
		"unknown token":       {"GET", "/metrics", "Bearer bad", 401},
		"another user":        {"GET", "/metrics", "Bearer other", 403},
		"another path":        {"GET", "/debug", "Bearer good", 403},
		"another verb":        {"POST", "/metrics", "Bearer good", 403},
		"query is not a path": {"GET", "/metrics?x=/debug", "Bearer good", 200},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIServer()
			code, body := ask(kubeauth.New(s.AuthenticationV1(), s.AuthorizationV1()), tt.method, tt.path, tt.authorization)
			if code != tt.want || (body == "inside") != (tt.want == 200) {
				t.Errorf("%d %q, want %d", code, body, tt.want)
			}
			if strings.Contains(body, "good") && tt.want != 200 {
				t.Errorf("the answer repeats the token: %q", body)
			}
		})
	}
}

func TestVerdictsAreRememberedAndFailuresAreNot(t *testing.T) {
	s := newAPIServer()
	r := kubeauth.New(s.AuthenticationV1(), s.AuthorizationV1())
	s.err = errors.New("etcd is away")
	if code, _ := ask(r, "GET", "/metrics", "Bearer good"); code != 500 {
		t.Errorf("%d while the API server cannot tell, want 500", code)
	}
	s.err = nil
	for range 10 {
		if code, _ := ask(r, "GET", "/metrics", "Bearer good"); code != 200 {
			t.Fatalf("%d, want 200", code)
		}
	}
	if s.tokens != 2 || s.accesses != 1 {
		t.Errorf("%d token reviews and %d access reviews, want 2 and 1", s.tokens, s.accesses)
	}
}
