package app

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
)

// startPatience is how long an API server may be away when a replica starts, before it gives up and is started again.
const startPatience = time.Minute

// clusterID returns what tells this cluster from every other: the UID of the namespace kube-system. Where that may not
// be read it is empty, and checkpoints of another cluster at the same address are not told apart.
func clusterID(ctx context.Context, restConfig *rest.Config, log logr.Logger) (string, error) {
	client, err := metadata.NewForConfig(metadata.ConfigFor(restConfig))
	if err != nil {
		return "", fmt.Errorf("making the metadata client: %w", err)
	}
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	var id string
	var last error
	poll := func(ctx context.Context) (bool, error) {
		// Read by its name and not listed: a role for some types allows no more.
		namespace, err := namespaces.Get(ctx, "kube-system", metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
			log.Info("Namespace kube-system cannot be read, so the cluster cannot be told from others", "reason", err.Error())
			return true, nil
		case err != nil:
			if last == nil {
				log.Info("API server does not answer yet", "reason", err.Error())
			}
			last = err
			return false, nil
		}
		id = string(namespace.UID)
		return true, nil
	}
	if err := wait.PollUntilContextTimeout(ctx, time.Second, startPatience, true, poll); err != nil {
		return "", fmt.Errorf("asking the API server at %s for the cluster's identity: %w", restConfig.Host, errOr(last, err))
	}
	return id, nil
}

func errOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
