package app

import (
	"fmt"

	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kubeauth"
)

// newReviewer makes the reviewer that asks the API server which callers may read metrics and use the API.
func newReviewer(restConfig *rest.Config) (*kubeauth.Reviewer, error) {
	tokens, err := authenticationclient.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for token reviews: %w", err)
	}
	accesses, err := authorizationclient.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client for access reviews: %w", err)
	}
	return kubeauth.New(tokens, accesses), nil
}
