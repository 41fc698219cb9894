// Package configmap lets processes share state through ConfigMaps. It follows the ConfigMaps that a selector
// names. It writes a ConfigMap on the condition that no other process has written it since it was read.
//
// [Follow] blocks; [Get] and [Put] make one request. The caller interprets the content.
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

// Sink takes the followed ConfigMaps. One goroutine calls it, in the order of versions.
type Sink interface {
	// Set takes a ConfigMap that was created or changed, Delete one that was deleted.
	Set(m *corev1.ConfigMap)
	Delete(m *corev1.ConfigMap)
	// Replace takes all ConfigMaps: at first, and after an interruption.
	Replace(all []*corev1.ConfigMap)
}

// Source says which ConfigMaps to follow.
type Source struct {
	Client corev1client.ConfigMapInterface
	// Labels and Fields are selectors; an empty one selects all.
	Labels, Fields string
	// Stream names the watch in Streams, which may be nil.
	Stream  string
	Streams *reflector.Metrics
	// Log gets errors.
	Log logr.Logger
}

// Follow passes the ConfigMaps of a source to the sink until ctx ends. If the first reads are forbidden, it
// returns the API server's error. After all other errors it tries again.
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

// store passes the changes from the reflector to the sink.
type store struct {
	sink   Sink
	listed atomic.Bool
}

// Add takes a ConfigMap that was created.
func (s *store) Add(o any) error { return s.Update(o) }

// Update takes a ConfigMap that changed.
func (s *store) Update(o any) error {
	if m, ok := o.(*corev1.ConfigMap); ok {
		s.sink.Set(m)
	}
	return nil
}

// Delete takes a ConfigMap that was deleted.
func (s *store) Delete(o any) error {
	if m, ok := o.(*corev1.ConfigMap); ok {
		s.sink.Delete(m)
	}
	return nil
}

// Replace takes all ConfigMaps.
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

// Resync does nothing: the sink needs no repetition.
func (*store) Resync() error { return nil }

// Get returns a ConfigMap, nil when there is none. The error is that of the API server.
func Get(ctx context.Context, client corev1client.ConfigMapInterface, name string) (*corev1.ConfigMap, error) {
	m, err := client.Get(ctx, name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil // A missing ConfigMap is no error.
	}
	return m, err
}

// Content is the content to write to a ConfigMap.
type Content struct {
	Labels map[string]string // added to the labels that the ConfigMap has
	Data   map[string]string
	Binary map[string][]byte
}

// Put writes content to a ConfigMap, if the API server still has current; nil means that it has none. It returns
// the ConfigMap as written. If another process was faster, the error is one of which [Lost] is true.
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

// Lost tells whether a write was refused because another process was faster. Then the ConfigMap has to be read
// again.
func Lost(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}
