package app

import (
	"fmt"

	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// rights tell what this replica may read.
type rights struct {
	*access.Reviews

	client authorizationv1client.AuthorizationV1Interface
}

func newRights(restConfig *rest.Config, client metadata.Interface) (rights, error) {
	reviews, err := authorizationv1client.NewForConfig(restConfig)
	if err != nil {
		return rights{}, fmt.Errorf("making the client for reviews: %w", err)
	}
	return rights{access.NewReviews(reviews, client), reviews}, nil
}

// whole returns the types of which these are slices, each once.
func whole(types []resource.Type) []resource.Type {
	var all []resource.Type
	known := make(map[resource.Type]bool, len(types))
	for _, t := range types {
		if t = t.Whole(); !known[t] {
			known[t] = true
			all = append(all, t)
		}
	}
	return all
}
