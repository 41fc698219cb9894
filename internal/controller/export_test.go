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

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
)

// Facts are what a status is made of.
type Facts struct {
	Generation      int64
	Reason, Message string // the problem, if Reason is not empty
	Running         bool
	Report          Report
}

// StatusOf makes a status.
func StatusOf(old *v1alpha1.ResourceSyncConfigStatus, f Facts, now time.Time) v1alpha1.ResourceSyncConfigStatus {
	in := facts{generation: f.Generation, running: f.Running, report: f.Report}
	if f.Reason != "" {
		in.problem = &problem{f.Reason, f.Message}
	}
	return statusOf(old, in, now)
}

// Reconciler is the part of a controller that needs no API server.
type Reconciler struct{ r *reconciler }

// NewReconciler returns a reconciler; changed is called with the name of an object whose Secret has changed.
func NewReconciler(reader client.Reader, writer client.SubResourceWriter, secrets corev1client.SecretsGetter, changed func(types.NamespacedName),
	targets Targets, events record.EventRecorder, environment *url.URL, log logr.Logger,
) Reconciler {
	return Reconciler{&reconciler{
		reader: reader, writer: writer, targets: targets, secrets: newSecrets(secrets, log, changed), events: events,
		log: log, environment: environment, now: time.Now, metrics: newMetrics(nil),
		runs: make(map[types.NamespacedName]*run), written: make(map[types.NamespacedName]written),
	}}
}

// Reconcile looks at one object.
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
