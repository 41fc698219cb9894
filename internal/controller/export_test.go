package controller

import (
	"context"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// Reconciler is the part of a controller that needs no API server.
type Reconciler struct{ r *reconciler }

// NewReconciler returns a reconciler; changed is called with the name of an object whose Secret has changed.
func NewReconciler(reader client.Reader, writer client.SubResourceWriter, secrets corev1client.SecretsGetter, changed func(types.NamespacedName),
	targets Targets, events record.EventRecorder, environment *url.URL, log logr.Logger,
) Reconciler {
	r := newReconciler(reader, writer, targets, newSecrets(secrets, log, changed), Options{Environment: environment, Log: log})
	r.events = events
	return Reconciler{r}
}

// Reconcile reconciles one object.
func (r Reconciler) Reconcile(ctx context.Context, key types.NamespacedName) (after time.Duration, err error) {
	result, err := r.r.Reconcile(ctx, reconcile.Request{NamespacedName: key})
	return result.RequeueAfter, err
}

// Secrets returns how many values of Secrets are being watched.
func (r Reconciler) Secrets() int {
	r.r.secrets.mu.Lock()
	defer r.r.secrets.mu.Unlock()
	return len(r.r.secrets.values)
}

// Close ends the watches.
func (r Reconciler) Close() { r.r.secrets.close() }
