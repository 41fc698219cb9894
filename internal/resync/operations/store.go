package operations

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const (
	resyncsLabel = "vectordb-sync.io/resyncs"
	// requestTimeout bounds one read or write, so that the next one follows when an API server hangs.
	requestTimeout = 10 * time.Second
	// conflictPause bounds the wait before a write is tried again after a second conflict. The wait is random, so
	// that members that collide do not go on colliding, and grows up to 32 times.
	conflictPause = 200 * time.Millisecond
)

// store follows the ConfigMap of a ring, and changes it.
type store struct {
	client     corev1client.ConfigMapInterface
	namespace  string
	ring, name string
	log        logr.Logger
	changed    func(data map[string]string) // called in order, and by one goroutine at a time
	metrics    *metrics
	streams    *reflector.Metrics // may be nil
	synced     chan struct{}      // closed after the first list
	once       sync.Once
	writing    chan struct{} // one slot, held while writing

	mu      sync.Mutex        // guards current, and is held while changed is called
	current *corev1.ConfigMap // nil: there is none
}

func newStore(client corev1client.ConfigMapsGetter, namespace, ring string, log logr.Logger, m *metrics, changed func(map[string]string)) *store {
	return &store{
		client: client.ConfigMaps(namespace), namespace: namespace, ring: ring, name: ring + "-resyncs", log: log, changed: changed, metrics: m,
		synced: make(chan struct{}), writing: make(chan struct{}, 1),
	}
}

// run follows the ConfigMap until ctx ends. It returns an error when we are forbidden to read it, and never have
// read it. It follows by name, not by label: the fleet must not forget when a person removes the labels.
func (s *store) run(ctx context.Context) error {
	err := configmap.Follow(ctx, configmap.Source{
		Client: s.client, Fields: fields.OneTermEqualSelector(metav1.ObjectNameField, s.name).String(),
		Stream: reflector.Operations, Streams: s.streams, Log: s.log,
	}, sink{s})
	if err != nil {
		return fmt.Errorf("resyncs are kept in ConfigMap %s of namespace %s, which needs list, watch, get, create and update there: %w", s.name, s.namespace, err)
	}
	return nil
}

// accept takes a ConfigMap that was read or written, unless a newer one is known already. The answers to our own
// writes and the watch can overtake each other.
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

// version returns the place of a ConfigMap in the order of all writes, 0 when it has none.
func version(m *corev1.ConfigMap) uint64 { return resource.ParseVersion(m.ResourceVersion) }

// update changes the data as f says. It tries again from the newer data as long as other members write first. f
// gets a copy, may be called several times, and returns false to leave the data unchanged. With fresh, f gets the
// data of the API server, not that of the watch.
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
		if !configmap.Lost(err) {
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
	m, err := configmap.Get(ctx, s.client, s.name)
	switch {
	case err != nil:
		return err
	case m == nil:
		s.accept(nil)
	default:
		s.believe(m, before)
	}
	return nil
}

// believe takes a ConfigMap that was read from the server itself, not from a cache. It is the truth even if it is
// older than the one known before the read, because etcd may have been restored from a backup. The server would
// refuse for ever a write that starts from any other version.
func (s *store) believe(m, before *corev1.ConfigMap) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == before || version(m) > version(s.current) {
		s.set(m)
	}
}

// write makes data the data of the ConfigMap if m is the ConfigMap on the server; nil means that there is none.
func (s *store) write(ctx context.Context, m *corev1.ConfigMap, data map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	s.metrics.writes.Inc()
	next, err := configmap.Put(ctx, s.client, s.name, m, configmap.Content{
		Labels: map[string]string{configmap.RingLabel: s.ring, resyncsLabel: "true"}, Data: data,
	})
	if err != nil {
		return err
	}
	s.accept(next)
	return nil
}

// sink takes the ConfigMap that the store follows.
type sink struct{ s *store }

// Set takes the ConfigMap when it has appeared or changed.
func (k sink) Set(m *corev1.ConfigMap) { k.s.accept(m) }

// Delete notes that the ConfigMap is gone, unless it has been created again meanwhile.
func (k sink) Delete(m *corev1.ConfigMap) {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	if k.s.current != nil && (m.UID == k.s.current.UID || version(m) >= version(k.s.current)) {
		k.s.set(nil)
	}
}

// Replace takes a complete list. It is believed even if it is older, because etcd may have been restored.
func (k sink) Replace(all []*corev1.ConfigMap) {
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	var found *corev1.ConfigMap
	for _, m := range all {
		if m.Name == k.s.name {
			found = m
		}
	}
	k.s.set(found)
	k.s.once.Do(func() { close(k.s.synced) })
}
