package predecessor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	authorizationv1 "k8s.io/api/authorization/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/metadata"
)

const (
	// pace is the time between two looks while something is found, or the API server does not answer.
	pace = 5 * time.Minute
	// most is how many Deployments the log names at most.
	most = 20

	nameLabel = "app.kubernetes.io/name"
	// syncName is the Deployment of k8s-vectordb-sync 0.1. This controller is a StatefulSet.
	syncName = "k8s-vectordb-sync"
	// dotAIName is the Deployment of dot-ai-controller.
	dotAIName = "dot-ai-controller"
)

var deployments = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}

// Options say where to look, and for which programs.
type Options struct {
	// Namespaces are the namespaces to look into if the whole cluster may not be read.
	Namespaces []string
	// ResourceSyncConfig tells that this process reads ResourceSyncConfigs, as dot-ai-controller does.
	ResourceSyncConfig bool
	// Log takes the names of the Deployments.
	Log logr.Logger
	// Registerer takes the metric; nil for none.
	Registerer prometheus.Registerer
}

// Watcher looks for Deployments of predecessors.
type Watcher struct {
	client  metadata.Interface
	reviews authorizationv1client.SelfSubjectAccessReviewsGetter
	opts    Options
	metrics *metrics
}

// New returns a Watcher, which does nothing until it runs. It lists Deployments through the one client, and asks
// the other which namespaces it may list. Without that question, a refused request would be one more line in the
// audit log, for people who watch over permissions.
func New(client metadata.Interface, reviews authorizationv1client.SelfSubjectAccessReviewsGetter, opts Options) *Watcher {
	return &Watcher{client: client, reviews: reviews, opts: opts, metrics: newMetrics(opts.Registerer)}
}

// Run looks until no Deployment is left, or ctx ends. It logs each one once, and never fails: its findings are for
// people.
func (w *Watcher) Run(ctx context.Context) error {
	var named []string
	for {
		names, err := w.find(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // The end of ctx is no failure.
		case err != nil:
			w.opts.Log.V(1).Info("Deployments of predecessors cannot be listed", "reason", err.Error())
		case len(names) == 0:
			if len(named) > 0 {
				w.opts.Log.Info("The other program that sent to the receiver is gone", "deployments", named)
			}
			w.metrics.deployments.Set(0)
			return nil
		case !slices.Equal(names, named):
			w.opts.Log.Info("Another program that may send to the receiver is installed: remove it, for two writers race", "deployments", names, "see", "docs/migrating.md")
			named = names
		}
		w.metrics.deployments.Set(float64(len(named)))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pace):
		}
	}
}

// find returns the Deployments, as namespace/name. A namespace that may not be read counts as empty.
func (w *Watcher) find(ctx context.Context) ([]string, error) {
	values := []string{syncName}
	if w.opts.ResourceSyncConfig {
		values = append(values, dotAIName)
	}
	where, err := w.visible(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, namespace := range where {
		list := metav1.ListOptions{LabelSelector: nameLabel + " in (" + strings.Join(values, ",") + ")", Limit: most}
		found, err := w.client.Resource(deployments).Namespace(namespace).List(ctx, list)
		if err != nil {
			return nil, fmt.Errorf("listing Deployments: %w", err)
		}
		for i := range found.Items {
			names = append(names, found.Items[i].Namespace+"/"+found.Items[i].Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// visible returns the namespaces whose Deployments may be listed; the empty one stands for all.
func (w *Watcher) visible(ctx context.Context) ([]string, error) {
	var where []string
	for _, namespace := range slices.Concat([]string{metav1.NamespaceAll}, w.opts.Namespaces) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: "list", Group: deployments.Group, Resource: deployments.Resource, Namespace: namespace,
			},
		}}
		answer, err := w.reviews.SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		switch {
		case apierrors.IsForbidden(err): // this question is not allowed either
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("asking what may be listed: %w", err)
		case answer.Status.Allowed && namespace == metav1.NamespaceAll:
			return []string{namespace}, nil
		case answer.Status.Allowed && !slices.Contains(where, namespace):
			where = append(where, namespace)
		}
	}
	return where, nil
}
