package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/record"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
)

const (
	// interval is how often an object is reconciled, and its status written at most.
	interval = 10 * time.Second
	// patience is how long the status of a starting target waits for its first report. Most targets report within that
	// time. Without the wait, the interval would delay their first status.
	patience = 2 * time.Second
	// reconcileTimeout bounds one reconciliation, which makes one request at most.
	reconcileTimeout = 10 * time.Second
)

// reconciler makes targets and status agree with one object at a time. One goroutine uses it.
type reconciler struct {
	reader      client.Reader
	writer      client.SubResourceWriter
	targets     Targets
	secrets     *secrets
	events      record.EventRecorder
	log         logr.Logger
	environment *url.URL
	now         func() time.Time
	metrics     *metrics

	runs    map[types.NamespacedName]*run
	written map[types.NamespacedName]written
	trouble string // why statuses cannot be written, empty if they can
}

func newReconciler(reader client.Reader, writer client.SubResourceWriter, targets Targets, secrets *secrets, opts Options) *reconciler {
	return &reconciler{
		reader: reader, writer: writer, targets: targets, secrets: secrets,
		log: opts.Log, environment: opts.Environment, now: time.Now, metrics: newMetrics(opts.Registerer),
		runs: make(map[types.NamespacedName]*run), written: make(map[types.NamespacedName]written),
	}
}

// run is a target that was set.
type run struct {
	target   Target
	receiver string // see sameReceiver
	created  time.Time
	began    time.Time
	changes  uint64 // of the token, as the target last heard
}

// written is the last status that was written to an object.
type written struct {
	uid       types.UID
	version   uint64 // of the object, after it
	at        time.Time
	want, got v1alpha1.ResourceSyncConfigStatus // got lacks the fields that the installed definition does not have
}

// Reconcile implements [reconcile.Reconciler].
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	key := req.NamespacedName
	var o v1alpha1.ResourceSyncConfig
	err := r.reader.Get(ctx, key, &o)
	switch {
	case apierrors.IsNotFound(err) || err == nil && !o.DeletionTimestamp.IsZero():
		r.forget(key)
		return reconcile.Result{}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("reading %s: %w", key, err)
	}
	f, known := r.follow(key, &o)
	wait := interval
	if known {
		r.metrics.observe(key, status.Ready(f).Status)
		if f.Running && status.Ready(f).Reason == v1alpha1.ReasonStarting {
			if left := patience - r.now().Sub(r.runs[key].began); left > 0 {
				return reconcile.Result{RequeueAfter: min(left, time.Second/2)}, nil
			}
		}
		wait = r.tell(ctx, &o, f)
	}
	return reconcile.Result{RequeueAfter: wait}, nil
}

// forget stops the target of an object that is gone.
func (r *reconciler) forget(key types.NamespacedName) {
	r.stop(key, "it was deleted")
	r.targets.Remove(nameOf(key.Namespace, key.Name))
	r.secrets.release(key)
	r.metrics.forget(key)
	delete(r.written, key)
}

func (r *reconciler) stop(key types.NamespacedName, why string) {
	if run, ok := r.runs[key]; ok {
		r.log.Info("Target stops", "target", run.target.Name, "because", why)
		r.targets.Stop(run.target.Name)
		delete(r.runs, key)
	}
}

// follow makes the target agree with the object, and returns the facts. known is false as long as the Secret has
// not been read.
func (r *reconciler) follow(key types.NamespacedName, o *v1alpha1.ResourceSyncConfig) (f status.Facts, known bool) {
	f.Generation = o.Generation
	t, err := TargetOf(o)
	if err != nil {
		r.stop(key, "its spec cannot be followed")
		r.secrets.release(key)
		f.Problem = problem(v1alpha1.ReasonInvalidSpec, strings.ReplaceAll(err.Error(), "\n", "; ")+".")
		return f, true
	}
	v := r.secrets.use(key, valueRef{o.Namespace, o.Spec.McpAuthSecretRef.Name, o.Spec.McpAuthSecretRef.Key})
	t.Token = v.Token
	token, changes, p, known := v.get()
	if !known {
		return f, false
	}
	now, running := r.runs[key]
	if running && (now.target.UID != t.UID || now.target.Generation != t.Generation) {
		if p != nil {
			r.stop(key, "its spec has changed, and "+p.Reason)
		}
		running = false
	}
	switch {
	case running:
		if now.changes != changes && p == nil {
			r.log.Info("Credential has changed", "target", t.Name)
			r.targets.Retry(t.Name)
		}
		now.changes = changes
	case p == nil:
		p = r.start(key, o, t, changes)
	}
	f.Problem = p
	if _, f.Running = r.runs[key]; f.Running {
		f.Report, _ = r.targets.Report(t.Name)
		redact(&f.Report, token)
	}
	return f, true
}

// start sets a target.
func (r *reconciler) start(key types.NamespacedName, o *v1alpha1.ResourceSyncConfig, t Target, changes uint64) *status.Problem {
	next := &run{target: t, receiver: sameReceiver(t, &o.Spec), created: o.CreationTimestamp.Time, began: r.now(), changes: changes}
	if r.environment != nil && r.environment.String() == t.Endpoint.String() {
		r.stop(key, "its spec has changed")
		return problem(v1alpha1.ReasonDuplicateTarget, "The controller's environment (REST_ENDPOINT) names the same receiver, which would be sent everything "+
			"twice. Delete this object, or leave REST_ENDPOINT empty.")
	}
	for other, run := range r.runs {
		if other == key || run.receiver != next.receiver {
			continue
		}
		if older(other, run, key, next) {
			r.stop(key, "its spec has changed")
			return problem(v1alpha1.ReasonDuplicateTarget, fmt.Sprintf("ResourceSyncConfig %s is older and sends the same to the same receiver. "+
				"Delete one of the two, or give them types or namespaces of their own.", other))
		}
		r.stop(other, "an older object declares the same receiver")
	}
	if err := r.targets.Set(t); err != nil {
		delete(r.runs, key)
		r.log.Error(err, "Target cannot be started", "target", t.Name)
		return problem(v1alpha1.ReasonStartFailed, fmt.Sprintf("The controller could not start: %v. It tries again.", err))
	}
	r.log.Info("Target starts", "target", t.Name, "endpoint", t.Endpoint.Redacted(), "format", t.Format.Name(), "generation", t.Generation)
	r.runs[key] = next
	return nil
}

// older tells whether a came before b.
func older(aKey types.NamespacedName, a *run, bKey types.NamespacedName, b *run) bool {
	if !a.created.Equal(b.created) {
		return a.created.Before(b.created)
	}
	return aKey.String() < bKey.String()
}

// redact takes the token out of a receiver's answer. A receiver that quotes its request must not put the token into
// a status.
func redact(r *status.Report, token string) {
	if token == "" {
		return
	}
	for _, text := range []*string{&r.LastError, &r.Reason} {
		*text = strings.ReplaceAll(*text, token, "[token]")
	}
}

// tell writes the status, if this member is to write it and it has changed, and returns when to reconcile again.
func (r *reconciler) tell(ctx context.Context, o *v1alpha1.ResourceSyncConfig, f status.Facts) time.Duration {
	key := client.ObjectKeyFromObject(o)
	if !r.targets.Owns(nameOf(o.Namespace, o.Name)) {
		delete(r.written, key)
		return interval
	}
	last, ours := r.written[key]
	ours = ours && last.uid == o.UID
	if ours && versionOf(o) < last.version {
		return interval // The cache has not seen our last write; its event reconciles the object again.
	}
	want := status.Of(&o.Status, f, r.now())
	if equality.Semantic.DeepEqual(want, o.Status) {
		return interval
	}
	if ours {
		// An older definition drops fields that it does not have. Without this check we would write them again and
		// again.
		if equality.Semantic.DeepEqual(want, last.want) && equality.Semantic.DeepEqual(o.Status, last.got) {
			return interval
		}
		if left := interval - r.now().Sub(last.at); left > 0 {
			return left
		}
	}
	old := o.Status
	if err := r.write(ctx, o, want); err != nil {
		r.refused(err)
		return interval
	}
	r.trouble = ""
	r.written[key] = written{uid: o.UID, version: versionOf(o), at: r.now(), want: want, got: o.Status}
	r.announce(o, old.Conditions, want.Conditions)
	return interval
}

// write patches the status and leaves in o the status that the API server stored. It sends the whole status each
// time, because the last writer may have been another member.
func (r *reconciler) write(ctx context.Context, o *v1alpha1.ResourceSyncConfig, s v1alpha1.ResourceSyncConfigStatus) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": o.UID}, // The patch conflicts with another object of that name.
		"status":   s,
	})
	if err != nil {
		return fmt.Errorf("encoding the status: %w", err)
	}
	ignore := &client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{Raw: &metav1.PatchOptions{FieldValidation: metav1.FieldValidationIgnore}}}
	if err := r.writer.Patch(ctx, o, client.RawPatch(types.MergePatchType, patch), ignore); err != nil {
		return fmt.Errorf("writing the status of %s: %w", client.ObjectKeyFromObject(o), err)
	}
	return nil
}

// refused logs that statuses cannot be written, once for each reason.
func (r *reconciler) refused(err error) {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) || errors.Is(err, context.Canceled) {
		return // The object is gone, or the process ends.
	}
	reason := string(apierrors.ReasonForError(err))
	if reason != r.trouble {
		r.log.Error(err, "Statuses of ResourceSyncConfigs cannot be written, and are tried again")
	}
	r.trouble = reason
}

// announce records an Event for each condition whose status has changed.
func (r *reconciler) announce(o *v1alpha1.ResourceSyncConfig, old, now []metav1.Condition) {
	for _, c := range now {
		before := meta.FindStatusCondition(old, c.Type)
		well := metav1.ConditionFalse
		if c.Type == v1alpha1.ConditionReady {
			well = metav1.ConditionTrue
		}
		switch {
		case before != nil && before.Status == c.Status && before.Reason == c.Reason:
		case c.Reason == v1alpha1.ReasonStarting || c.Status == metav1.ConditionUnknown:
		case c.Status == well && c.Type != v1alpha1.ConditionReady && (before == nil || before.Status != metav1.ConditionTrue):
		case c.Type == v1alpha1.ConditionReceiverDegraded: // Ready says the same.
		case c.Status == well:
			r.events.Event(o, corev1.EventTypeNormal, c.Reason, c.Message)
		default:
			r.events.Event(o, corev1.EventTypeWarning, c.Reason, c.Message)
		}
	}
}

// versionOf returns the resourceVersion as a number, by which states of one resource compare; 0 if it is no number.
func versionOf(o *v1alpha1.ResourceSyncConfig) uint64 {
	v, err := strconv.ParseUint(o.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return v
}
