package operations

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

const (
	ringLabel    = "vectordb-sync.io/ring"
	resyncsLabel = "vectordb-sync.io/resyncs"
	// requestTimeout bounds one read or write, so that an API server that hangs is asked again.
	requestTimeout = 10 * time.Second
	// conflictPause bounds the wait before a write is tried again after a second conflict; it is random, so that members
	// that collide do not go on colliding, and grows up to 32 times.
	conflictPause = 200 * time.Millisecond
)

// store follows the ConfigMap of a ring, and changes it.
type store struct {
	client     corev1client.ConfigMapInterface
	namespace  string
	ring, name string
	log        logr.Logger
	changed    func(data map[string]string) // called in order, never by two at once
	metrics    *metrics
	streams    *reflector.Metrics // may be nil
	synced     chan struct{}      // closed after the first list
	once       sync.Once
	fatal      chan error    // one slot: a permission is missing
	writing    chan struct{} // one slot, held while writing

	mu      sync.Mutex        // guards current, and is held while changed is called
	current *corev1.ConfigMap // nil: there is none
}

func newStore(client corev1client.ConfigMapsGetter, namespace, ring string, log logr.Logger, m *metrics, changed func(map[string]string)) *store {
	return &store{
		client: client.ConfigMaps(namespace), namespace: namespace, ring: ring, name: ring + "-resyncs", log: log, changed: changed, metrics: m,
		synced: make(chan struct{}), fatal: make(chan error, 1), writing: make(chan struct{}, 1),
	}
}

// run follows the ConfigMap until ctx ends. It returns an error when it may not be read before it ever was.
func (s *store) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // Ends with ctx; waited for below.
		defer close(ended)
		s.guard().Run(ctx)
	}()
	defer func() { cancel(); <-ended }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.fatal:
		return fmt.Errorf("resyncs are kept in ConfigMap %s of namespace %s, which needs list, watch, get, create and update there: %w", s.name, s.namespace, err)
	}
}

func (s *store) guard() *reflector.Guard {
	// By name, not by label: whoever takes the labels off must not make the fleet forget.
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, s.name).String()
	source := reflector.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.FieldSelector = selector
			list, err := s.client.List(ctx, o)
			s.refused(err)
			return list, err //nolint:wrapcheck // The reflector looks at the type of the error.
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector = selector
			w, err := s.client.Watch(ctx, o)
			s.refused(err)
			return w, err //nolint:wrapcheck // The reflector looks at the type of the error.
		},
	}
	return reflector.NewGuard(reflector.Operations, source, sink{s}, reflector.Options{
		Retry:   wait.Backoff{Duration: 100 * time.Millisecond, Cap: 5 * time.Second, Steps: 10, Factor: 2, Jitter: 0.5},
		Metrics: s.streams, Log: s.log,
	})
}

// refused notes a missing permission, which is fatal only before the first list has come.
func (s *store) refused(err error) {
	if !apierrors.IsForbidden(err) {
		return
	}
	select {
	case <-s.synced:
	default:
		select {
		case s.fatal <- err:
		default: // One is enough.
		}
	}
}

// accept takes what was read or written, unless something newer is known already: the answers to our own writes and the
// watch overtake each other.
func (s *store) accept(m *corev1.ConfigMap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && m != nil && version(m) <= version(s.current) && version(m) > 0 {
		return
	}
	s.set(m)
}

// set is called with mu held.
func (s *store) set(m *corev1.ConfigMap) {
	s.current = m
	if m == nil {
		s.changed(nil)
		return
	}
	s.changed(m.Data)
}

// version is the place of a ConfigMap in the order of all writes, 0 when it has none.
func version(m *corev1.ConfigMap) uint64 {
	v, err := strconv.ParseUint(m.ResourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return v
}

// update changes the data as f says, and tries again from what is there then as long as others are faster. f gets a
// copy, may be called several times, and returns false to leave all as it is. With fresh, f is given what the API server
// holds, not what the watch has brought.
func (s *store) update(ctx context.Context, fresh bool, f func(data map[string]string) (bool, error)) error {
	select {
	case s.writing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("waiting to write ConfigMap %s: %w", s.name, ctx.Err())
	}
	defer func() { <-s.writing }()
	for attempt := 0; ; attempt++ {
		if fresh || attempt > 0 {
			if err := s.read(ctx); err != nil {
				return fmt.Errorf("reading ConfigMap %s: %w", s.name, err)
			}
		}
		s.mu.Lock()
		m := s.current
		s.mu.Unlock()
		data := make(map[string]string)
		if m != nil {
			maps.Copy(data, m.Data)
		}
		change, err := f(data)
		if err != nil || !change {
			return err
		}
		err = s.write(ctx, m, data)
		if err == nil {
			return nil
		}
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) && !apierrors.IsNotFound(err) {
			return fmt.Errorf("writing ConfigMap %s: %w", s.name, err)
		}
		s.metrics.conflicts.Inc()
		if attempt == 0 {
			continue
		}
		select {
		case <-time.After(rand.N(conflictPause << min(attempt, 5))):
		case <-ctx.Done():
			return fmt.Errorf("writing ConfigMap %s, which others keep writing: %w", s.name, ctx.Err())
		}
	}
}

func (s *store) read(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s.mu.Lock()
	before := s.current
	s.mu.Unlock()
	m, err := s.client.Get(ctx, s.name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		s.accept(nil)
		return nil
	case err != nil:
		return err //nolint:wrapcheck // update says what was done.
	}
	s.believe(m, before)
	return nil
}

// believe takes what was read from the server itself, not from a cache. It is the truth also if it is older than what was
// known before it was asked for: etcd was restored from a backup, and a write that starts from anything else would be
// refused for ever.
func (s *store) believe(m, before *corev1.ConfigMap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == before || version(m) > version(s.current) {
		s.set(m)
	}
}

// write makes data the data of the ConfigMap if m is what is there; nil means none.
func (s *store) write(ctx context.Context, m *corev1.ConfigMap, data map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	next := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.name}}
	if m != nil {
		next = m.DeepCopy()
	}
	if next.Labels == nil {
		next.Labels = make(map[string]string)
	}
	next.Labels[ringLabel], next.Labels[resyncsLabel], next.Labels["app.kubernetes.io/name"] = s.ring, "true", "k8s-vectordb-sync"
	next.Data = data
	s.metrics.writes.Inc()
	var err error
	if m == nil {
		next, err = s.client.Create(ctx, next, metav1.CreateOptions{})
	} else {
		next, err = s.client.Update(ctx, next, metav1.UpdateOptions{})
	}
	if err != nil {
		return err //nolint:wrapcheck // update looks at its type.
	}
	s.accept(next)
	return nil
}

// sink is what the reflector writes to.
type sink struct{ s *store }

var _ cache.ReflectorStore = sink{}

// Add takes the ConfigMap when it appears.
func (k sink) Add(o any) error { return k.Update(o) }

// Update takes the ConfigMap when it has changed.
func (k sink) Update(o any) error {
	if m, ok := o.(*corev1.ConfigMap); ok {
		k.s.accept(m)
	}
	return nil
}

// Delete notes that the ConfigMap is gone, unless it has been made again meanwhile.
func (k sink) Delete(o any) error {
	m, ok := o.(*corev1.ConfigMap)
	if !ok {
		return nil
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if k.s.current != nil && (m.UID == k.s.current.UID || version(m) >= version(k.s.current)) {
		k.s.set(nil)
	}
	return nil
}

// Replace takes what there is. It is believed even if it is older: an etcd may have been restored.
func (k sink) Replace(list []any, _ string) error {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	var found *corev1.ConfigMap
	for _, o := range list {
		if m, ok := o.(*corev1.ConfigMap); ok && m.Name == k.s.name {
			found = m
		}
	}
	k.s.set(found)
	k.s.once.Do(func() { close(k.s.synced) })
	return nil
}

// Resync does nothing.
func (sink) Resync() error { return nil }
