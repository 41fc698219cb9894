package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// rights tell which types this replica may read.
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

// clusterID returns an ID that tells this cluster from every other.
func clusterID(ctx context.Context, cfg config.Config, restConfig *rest.Config, log logr.Logger) (string, error) {
	client, err := metadata.NewForConfig(metadata.ConfigFor(restConfig))
	if err != nil {
		return "", fmt.Errorf("making the metadata client: %w", err)
	}
	rights, err := newRights(restConfig, client)
	if err != nil {
		return "", err
	}
	own := append([]string{cfg.PodNamespace}, slices.Sorted(slices.Values(cfg.WatchNamespaces))...)
	id, err := access.ClusterID(ctx, rights.Reviews, client, own, log)
	if err != nil {
		return "", fmt.Errorf("asking the API server at %s: %w", restConfig.Host, err)
	}
	return id, nil
}

// whole returns the types that these slices belong to, each once.
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
