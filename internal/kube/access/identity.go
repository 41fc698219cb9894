package access

import (
	"cmp"
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
)

// startPatience is how long an API server may be away when a replica starts, before it gives up and is started again.
const startPatience = time.Minute

// ClusterID returns what tells this cluster from every other: the UID of the first of some namespaces that may be read:
// kube-system, or, for an account without rights in the whole cluster, one of its own. Where none
// may be read it is empty, and checkpoints of another cluster at the same address are not told
// apart. An API server that is away is waited for, for a minute.
func ClusterID(ctx context.Context, rights *Reviews, client metadata.Interface, own []string, log logr.Logger) (string, error) {
	namespaces := client.Resource(schema.GroupVersionResource{Version: "v1", Resource: "namespaces"})
	names := []string{"kube-system"}
	for _, n := range own {
		if n != "" && !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
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
		return "", fmt.Errorf("asking for the cluster's identity: %w", cmp.Or(last, err))
	}
	return id, nil
}

// namespaceUID returns the UID of a namespace, empty if it may not be read or is not there. It is
// read by its name and not listed: a role for some types allows no more.
func namespaceUID(ctx context.Context, rights *Reviews, namespaces metadata.ResourceInterface, name string) (string, error) {
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
