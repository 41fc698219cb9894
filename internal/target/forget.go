package target

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
)

// forget deletes the ConfigMaps of the targets whose keys match, no matter which member has written them: their
// checkpoints, and the state of their resyncs. A member that still serves such a target writes its own again, and
// deletes it when it stops.
func (p Parts) forget(ctx context.Context, match func(key string) bool) error {
	maps := p.Maps.ConfigMaps(p.Namespace)
	list, err := maps.List(ctx, metav1.ListOptions{LabelSelector: checkpoint.RingLabel + "=" + p.Ring})
	if err != nil {
		return fmt.Errorf("listing checkpoints: %w", err)
	}
	var errs []error
	for _, m := range list.Items {
		key := m.Labels[checkpoint.TargetLabel]
		if key == "" {
			key = resyncsOf(p.Ring, m.Name)
		}
		if key == "" || !match(key) {
			continue
		}
		// Delete only the version that was listed: a member that has written since has a reason.
		uid := m.UID
		err := maps.Delete(ctx, m.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			errs = append(errs, fmt.Errorf("deleting ConfigMap %s: %w", m.Name, err))
		}
	}
	return errors.Join(errs...)
}

// resyncsOf returns the key of the target whose resyncs a ConfigMap holds, empty if it holds none; see
// resyncsName.
func resyncsOf(ringName, configMap string) string {
	rest, ours := strings.CutPrefix(configMap, ringName+"-")
	if !ours {
		return ""
	}
	if rest == "resyncs" {
		return handoff.Environment
	}
	key, found := strings.CutSuffix(rest, "-resyncs")
	if !found {
		return ""
	}
	return key
}
