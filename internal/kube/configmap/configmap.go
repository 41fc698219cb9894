// Package configmap is how this process shares state through ConfigMaps: it follows those that a selector
// names, and writes one under the condition that nobody else has written it meanwhile.
//
// [Follow] blocks; [Get] and [Put] make one request. What a ConfigMap means is the business of the caller.
package configmap

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

// RingLabel is the label that names the ring whose state a ConfigMap holds.
const RingLabel = "vectordb-sync.io/ring"

// Sink takes what is followed. It is called by one goroutine, in the order of versions.
type Sink interface {
	// Set takes a ConfigMap that appeared or changed, Delete one that is gone.
	Set(m *corev1.ConfigMap)
	Delete(m *corev1.ConfigMap)
	// Replace takes all that there are: first of all, and after an interruption.
	Replace(all []*corev1.ConfigMap)
}

// Source says what to follow.
type Source struct {
	Client corev1client.ConfigMapInterface
	// Labels and Fields select; empty is no condition.
	Labels, Fields string
	// Stream names the watch in metrics, of which Streams may be nil.
	Stream  string
	Streams *reflector.Metrics
	// Log gets what goes wrong.
	Log logr.Logger
}

// Follow shows the sink what a source selects until ctx ends. It returns an error, that of the API server,
// when it may not be read before it ever was; whatever else goes wrong is tried again.
func Follow(ctx context.Context, s Source, sink Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	into := &store{sink: sink}
	refused := func(err error) {
		if apierrors.IsForbidden(err) && !into.listed.Load() {
			cancel(err)
		}
	}
	source := reflector.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector, o.FieldSelector = s.Labels, s.Fields
			list, err := s.Client.List(ctx, o)
			refused(err)
			return list, err
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector, o.FieldSelector = s.Labels, s.Fields
			w, err := s.Client.Watch(ctx, o)
			refused(err)
			return w, err
		},
	}
	reflector.NewGuard(s.Stream, source, into, reflector.Options{
		Retry:   wait.Backoff{Duration: 100 * time.Millisecond, Cap: 5 * time.Second, Steps: 10, Factor: 2, Jitter: 0.5},
		Metrics: s.Streams, Log: s.Log,
	}).Run(ctx)
	if err := context.Cause(ctx); apierrors.IsForbidden(err) {
		return err
	}
	return nil
}

// store is what the reflector writes to.
type store struct {
	sink   Sink
	listed atomic.Bool
}

// Add takes a ConfigMap that appeared.
func (s *store) Add(o any) error { return s.Update(o) }

// Update takes a ConfigMap that changed.
func (s *store) Update(o any) error {
	if m, ok := o.(*corev1.ConfigMap); ok {
		s.sink.Set(m)
	}
	return nil
}

// Delete takes a ConfigMap that is gone.
func (s *store) Delete(o any) error {
	if m, ok := o.(*corev1.ConfigMap); ok {
		s.sink.Delete(m)
	}
	return nil
}

// Replace takes all there are.
func (s *store) Replace(list []any, _ string) error {
	all := make([]*corev1.ConfigMap, 0, len(list))
	for _, o := range list {
		if m, ok := o.(*corev1.ConfigMap); ok {
			all = append(all, m)
		}
	}
	s.listed.Store(true)
	s.sink.Replace(all)
	return nil
}

// Resync does nothing: nothing here depends on being told twice.
func (*store) Resync() error { return nil }

// Get returns a ConfigMap, nil when there is none. The error is that of the API server.
func Get(ctx context.Context, client corev1client.ConfigMapInterface, name string) (*corev1.ConfigMap, error) {
	m, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // That there is none is an answer.
	}
	return m, err
}

// Content is what a ConfigMap is to hold.
type Content struct {
	Labels map[string]string // beside those that it has
	Data   map[string]string
	Binary map[string][]byte
}

// Put makes a ConfigMap what it is to be, if current is what is there; nil means none. It returns what it has
// become. Where somebody else was faster, the error is one of which [Lost] is true.
func Put(ctx context.Context, client corev1client.ConfigMapInterface, name string, current *corev1.ConfigMap, c Content) (*corev1.ConfigMap, error) {
	next := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if current != nil {
		next = current.DeepCopy()
	}
	if next.Labels == nil {
		next.Labels = make(map[string]string)
	}
	maps.Copy(next.Labels, c.Labels)
	next.Labels["app.kubernetes.io/name"] = "k8s-vectordb-sync"
	next.Data, next.BinaryData = c.Data, c.Binary
	if current == nil {
		return client.Create(ctx, next, metav1.CreateOptions{})
	}
	return client.Update(ctx, next, metav1.UpdateOptions{})
}

// Lost tells whether a write was refused because somebody else was faster: what is there has to be read again.
func Lost(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}
