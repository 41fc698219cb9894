package app

import (
	"fmt"
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
)

// authorizer lets the API server decide who may use the API: a TokenReview of the bearer token, then a
// SubjectAccessReview of the path and verb. It is the filter in front of the metrics, asked for its verdict alone.
func authorizer(restConfig *rest.Config, log logr.Logger) (func(*http.Request) (bool, int, error), error) {
	client, err := rest.HTTPClientFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client that authorizes users of the API: %w", err)
	}
	filter, err := filters.WithAuthenticationAndAuthorization(restConfig, client)
	if err != nil {
		return nil, fmt.Errorf("making the authorization of the API: %w", err)
	}
	return func(r *http.Request) (bool, int, error) {
		allowed := false
		inner := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { allowed = true })
		handler, err := filter(log, inner)
		if err != nil {
			return false, http.StatusInternalServerError, fmt.Errorf("authorizing: %w", err)
		}
		v := &verdict{header: http.Header{}, status: http.StatusOK}
		handler.ServeHTTP(v, r)
		return allowed, v.status, nil
	}, nil
}

// verdict is a ResponseWriter that keeps the status alone.
type verdict struct {
	header http.Header
	status int
}

func (v *verdict) Header() http.Header         { return v.header }
func (v *verdict) Write(b []byte) (int, error) { return len(b), nil }
func (v *verdict) WriteHeader(status int)      { v.status = status }
