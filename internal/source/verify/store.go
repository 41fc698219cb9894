package verify

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/util/retry"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
)

const (
	// sumsLabel selects the ConfigMaps with statements, together with the label of the ring.
	sumsLabel = "vectordb-sync.io/sums"
	// statementKey and packedKey are the keys of the statement: as text, or packed.
	statementKey, packedKey = "statement", "packed"
	// tellTimeout bounds one attempt to write a statement.
	tellTimeout = 10 * time.Second
)

// Store writes our statement to a ConfigMap and follows those of the others. Create it with [NewStore].
type Store struct {
	client corev1client.ConfigMapInterface
	ring   string
	member string
	hear   func(member string, s Statement, ok bool)
	log    logr.Logger
	// streams counts the ends and errors of the watch; may be nil.
	streams *reflector.Metrics
}

// NewStore returns a store of the ConfigMaps of a ring in a namespace. One goroutine of Run calls hear.
func NewStore(client corev1client.ConfigMapsGetter, namespace, ring, member string, hear func(member string, s Statement, ok bool),
	streams *reflector.Metrics, log logr.Logger,
) *Store {
	return &Store{client: client.ConfigMaps(namespace), ring: ring, member: member, hear: hear, streams: streams, log: log}
}

// infix is between the name of the ring and the name of the member.
const infix = "-sums-"

// Name returns the name of our ConfigMap.
func (s *Store) Name() string { return s.ring + infix + s.member }

// Tell implements [Teller].
func (s *Store) Tell(ctx context.Context, what Statement) error {
	text, packed, err := what.Encode()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	err = retry.OnError(retry.DefaultRetry, configmap.Lost, func() error { return s.write(ctx, text, packed) })
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", s.Name(), err)
	}
	return nil
}

// write writes our ConfigMap. No other process writes it; write reads it only to keep its owner.
func (s *Store) write(ctx context.Context, text []byte, packed bool) error {
	m, err := configmap.Get(ctx, s.client, s.Name())
	if err != nil {
		return err
	}
	c := configmap.Content{Labels: map[string]string{configmap.RingLabel: s.ring, sumsLabel: "true"}}
	if packed {
		c.Binary = map[string][]byte{packedKey: text}
	} else {
		c.Data = map[string]string{statementKey: string(text)}
	}
	_, err = configmap.Put(ctx, s.client, s.Name(), m, c)
	return err
}

// Run follows the ConfigMaps until ctx ends. It tries failed reads again.
func (s *Store) Run(ctx context.Context) error {
	source := configmap.Source{
		Client: s.client, Labels: configmap.RingLabel + "=" + s.ring + "," + sumsLabel, Stream: reflector.Sums, Streams: s.streams, Log: s.log,
	}
	k := sink{s, make(map[string]bool)}
	for ctx.Err() == nil {
		if err := configmap.Follow(ctx, source, k); err != nil {
			s.log.V(1).Info("Statements of other members may not be read; trying again", "reason", err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(tellTimeout):
			}
		}
	}
	return nil
}

// sink takes the ConfigMaps that Run follows.
type sink struct {
	s     *Store
	heard map[string]bool // the members that have a ConfigMap
}

func (k sink) take(m *corev1.ConfigMap, ok bool) {
	member, ours := strings.CutPrefix(m.Name, k.s.ring+infix)
	if !ours || member == k.s.member {
		return
	}
	if !ok {
		k.forget(member)
		return
	}
	k.heard[member] = true
	text, packed := []byte(m.Data[statementKey]), false
	if p, has := m.BinaryData[packedKey]; has {
		text, packed = p, true
	}
	s, err := Decode(text, packed)
	if err != nil {
		k.s.log.V(1).Info("The statement of another member is not understood, hence ignored", "configMap", m.Name, "err", err.Error())
	}
	k.s.hear(member, s, err == nil)
}

// Set takes a ConfigMap that appeared or changed.
func (k sink) Set(m *corev1.ConfigMap) { k.take(m, true) }

// Delete takes a ConfigMap that was deleted.
func (k sink) Delete(m *corev1.ConfigMap) { k.take(m, false) }

// Replace takes all ConfigMaps, and forgets the statements of those that were deleted while no watch looked.
func (k sink) Replace(all []*corev1.ConfigMap) {
	gone := maps.Clone(k.heard)
	for _, m := range all {
		k.take(m, true)
		delete(gone, strings.TrimPrefix(m.Name, k.s.ring+infix))
	}
	for member := range gone {
		k.forget(member)
	}
}

func (k sink) forget(member string) {
	delete(k.heard, member)
	k.s.hear(member, Statement{}, false)
}
