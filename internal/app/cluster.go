package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// startPatience is how long an API server may be away when a replica starts, before it gives up and is started again.
const startPatience = time.Minute

// identityNamespaces are those whose UID tells this cluster from every other, the first that may be
// read: kube-system, or, for an account without rights in the whole cluster, the release's own or
// the first that is watched.
func identityNamespaces(cfg config.Config) []string {
	namespaces := []string{"kube-system"}
	for _, n := range slices.Concat([]string{cfg.PodNamespace}, slices.Sorted(slices.Values(cfg.WatchNamespaces))) {
		if n != "" && !slices.Contains(namespaces, n) {
			namespaces = append(namespaces, n)
		}
	}
	return namespaces
}

// clusterID returns what tells this cluster from every other: the UID of a namespace. Where none
// may be read it is empty, and checkpoints of another cluster at the same address are not told
// apart.
func clusterID(ctx context.Context, cfg config.Config, restConfig *rest.Config, log logr.Logger) (string, error) {
	client, err := metadata.NewForConfig(metadata.ConfigFor(restConfig))
	if err != nil {
		return "", fmt.Errorf("making the metadata client: %w", err)
	}
	rights, err := newRights(restConfig, client)
	if err != nil {
		return "", err
	}
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	names := identityNamespaces(cfg)
	var id string
	var last error
	poll := func(ctx context.Context) (bool, error) {
		for _, name := range names {
			uid, err := namespaceUID(ctx, rights, namespaces, name)
			if err != nil {
				if last == nil {
					log.Info("API server does not answer yet", "reason", err.Error())
				}
				last = err
				return false, nil
			}
			if id = uid; id == "" {
				continue
			}
			if name != names[0] {
				log.Info("Namespace kube-system may not be read, so that another one tells this cluster from others", "namespace", name)
			}
			return true, nil
		}
		log.Info("No namespace may be read by its name, so the cluster cannot be told from others, and no inventory is kept", "namespaces", names)
		return true, nil
	}
	if err := wait.PollUntilContextTimeout(ctx, time.Second, startPatience, true, poll); err != nil {
		return "", fmt.Errorf("asking the API server at %s for the cluster's identity: %w", restConfig.Host, errOr(last, err))
	}
	return id, nil
}

// namespaceUID returns the UID of a namespace, empty if it may not be read or is not there. It is
// read by its name and not listed: a role for some types allows no more.
func namespaceUID(ctx context.Context, rights rights, namespaces metadata.ResourceInterface, name string) (string, error) {
	if allowed, err := rights.MayGetNamespace(ctx, name); err != nil || !allowed {
		return "", err
	}
	namespace, err := namespaces.Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("reading namespace %s: %w", name, err)
	}
	return string(namespace.UID), nil
}

func errOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
