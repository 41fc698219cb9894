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

// startPatience is how long a starting replica waits for the API server. After that it exits, and Kubernetes
// starts it again.
const startPatience = time.Minute

// ClusterID returns an ID that differs between clusters: the UID of the first readable namespace among
// kube-system and own. The latter is for accounts without rights in the whole cluster. If none is readable, the
// ID is empty, and checkpoints of another cluster at the same address are taken for ours. ClusterID waits a
// minute for an API server that does not answer.
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
				log.Info("Namespace kube-system may not be read, so another namespace identifies this cluster", "namespace", name)
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

// namespaceUID returns the UID of a namespace; empty if the namespace may not be read or does not exist. It gets
// the namespace by name, because a role for some types does not allow a list.
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
