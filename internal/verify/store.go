package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/retry"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

const (
	// ringLabel and sumsLabel find the ConfigMaps of a ring.
	ringLabel = "vectordb-sync.io/ring"
	sumsLabel = "vectordb-sync.io/sums"
	// statementKey and packedKey hold the statement, as it is or packed.
	statementKey, packedKey = "statement", "packed"
	// tellTimeout bounds one attempt to write it.
	tellTimeout = 10 * time.Second
)

// Store writes our statement to a ConfigMap and follows those of the others. Create it with [NewStore].
type Store struct {
	client corev1client.ConfigMapInterface
	ring   string
	member string
	hear   func(member string, s Statement, ok bool)
	log    logr.Logger
	// streams count what goes wrong with the watch; may be nil.
	streams *reflector.Metrics
}

// NewStore returns a store of the ConfigMaps of a ring in a namespace. Hear is called by one goroutine of Run.
func NewStore(client corev1client.ConfigMapsGetter, namespace, ring, member string, hear func(member string, s Statement, ok bool),
	streams *reflector.Metrics, log logr.Logger,
) *Store {
	return &Store{client: client.ConfigMaps(namespace), ring: ring, member: member, hear: hear, streams: streams, log: log}
}

// infix is between the name of the ring and that of the member.
const infix = "-sums-"

// Name is the name of our ConfigMap.
func (s *Store) Name() string { return s.ring + infix + s.member }

// Tell implements [Teller].
func (s *Store) Tell(ctx context.Context, what Statement) error {
	text, packed, err := what.Encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	err = retry.OnError(retry.DefaultRetry, func(err error) bool {
		return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err)
	}, func() error { return s.write(ctx, text, packed) })
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", s.Name(), err)
	}
	return nil
}

// write makes the ConfigMap what it is to be. Nobody else writes it, so it is read only to keep its owner.
func (s *Store) write(ctx context.Context, text []byte, packed bool) error {
	m, err := s.client.Get(ctx, s.Name(), metav1.GetOptions{})
	create := apierrors.IsNotFound(err)
	if create {
		m = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: s.Name()}}
	} else if err != nil {
		return err // Tell looks at its type.
	}
	if m.Labels == nil {
		m.Labels = make(map[string]string)
	}
	m.Labels[ringLabel], m.Labels[sumsLabel], m.Labels["app.kubernetes.io/name"] = s.ring, "true", "k8s-vectordb-sync"
	m.Data, m.BinaryData = map[string]string{statementKey: string(text)}, nil
	if packed {
		m.Data, m.BinaryData = nil, map[string][]byte{packedKey: text}
	}
	if create {
		_, err = s.client.Create(ctx, m, metav1.CreateOptions{})
	} else {
		_, err = s.client.Update(ctx, m, metav1.UpdateOptions{})
	}
	return err // Tell looks at its type.
}

// Run follows the ConfigMaps until ctx ends. What cannot be read is tried again, and holds nothing up.
func (s *Store) Run(ctx context.Context) error {
	selector := ringLabel + "=" + s.ring + "," + sumsLabel
	source := reflector.Source{
		List: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = selector
			return s.client.List(ctx, o)
		},
		Watch: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.LabelSelector = selector
			return s.client.Watch(ctx, o)
		},
	}
	reflector.NewGuard(reflector.Sums, source, sink{s}, reflector.Options{Metrics: s.streams, Log: s.log}).Run(ctx)
	return nil
}

// sink is what the reflector writes to.
type sink struct{ s *Store }

var _ cache.ReflectorStore = sink{}

func (k sink) take(o any, ok bool) {
	m, is := o.(*corev1.ConfigMap)
	if !is {
		return
	}
	member, ours := strings.CutPrefix(m.Name, k.s.ring+infix)
	if !ours || member == k.s.member {
		return
	}
	if !ok {
		k.s.hear(member, Statement{}, false)
		return
	}
	text, packed := []byte(m.Data[statementKey]), false
	if p, has := m.BinaryData[packedKey]; has {
		text, packed = p, true
	}
	s, err := Decode(text, packed)
	if err != nil {
		k.s.log.V(1).Info("What another member knows is not understood, hence ignored", "configMap", m.Name, "err", err.Error())
	}
	k.s.hear(member, s, err == nil)
}

// Add takes a ConfigMap that appeared.
func (k sink) Add(o any) error { k.take(o, true); return nil }

// Update takes a ConfigMap that changed.
func (k sink) Update(o any) error { k.take(o, true); return nil }

// Delete takes a ConfigMap that is gone.
func (k sink) Delete(o any) error { k.take(o, false); return nil }

// Replace takes all there are. What is gone is forgotten with its member.
func (k sink) Replace(list []any, _ string) error {
	for _, o := range list {
		k.take(o, true)
	}
	return nil
}

// Resync does nothing.
func (sink) Resync() error { return nil }
