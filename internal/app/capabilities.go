package app

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/capabilities"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// capabilitiesKey is the key in the ring whose owner has capabilities scanned.
const capabilitiesKey resource.ID = "capabilities"

// newScanner makes what tells CAPABILITIES_ENDPOINT of definitions; nil when there is none.
func (a *App) newScanner(maps corev1client.ConfigMapsGetter) (*capabilities.Scanner, error) {
	cfg := a.cfg
	if cfg.CapabilitiesEndpoint == nil {
		return nil, nil //nolint:nilnil // It is off.
	}
	opts := capabilities.Options{
		Version: a.opts.Version, Leader: func() bool { return a.shard.member.MaySend(capabilitiesKey) },
		Log: a.log.WithName("capabilities"), Registerer: a.parts.reg,
	}
	// Whom to trust, and as whom to appear, is the same for both. Token and headers are the receiver's, and nobody else's
	// business.
	opts.Files = outbound.Files{CA: cfg.Files.CA, Cert: cfg.Files.Cert, Key: cfg.Files.Key}
	if e := cfg.Endpoint; e != nil && e.Scheme == cfg.CapabilitiesEndpoint.Scheme && e.Host == cfg.CapabilitiesEndpoint.Host {
		opts.Files = cfg.Files
		if cfg.AuthTokenFile != "" {
			opts.Token = delivery.TokenFile(cfg.AuthTokenFile)
		}
	}
	source := &definitions{index: a.index, inStep: a.inStep}
	store := scanned{client: maps.ConfigMaps(cfg.PodNamespace), ring: cfg.RingName}
	s, err := capabilities.New(cfg.CapabilitiesEndpoint, source, store, opts)
	if err != nil {
		return nil, fmt.Errorf("making the scanner of capabilities: %w", err)
	}
	a.index.Listen(waker{s}) // for as long as there is an index
	return s, nil
}

// inStep tells whether all receivers have everything.
func (a *App) inStep() bool {
	if !a.ready() {
		return false
	}
	for _, t := range a.targets() {
		if s := t.pipeline.Stats(); !t.read() || s.First.Done < s.First.Total || s.Dirty > 0 {
			return false
		}
	}
	return true
}

// isDefinition tells whether a type is that of CustomResourceDefinitions.
func isDefinition(t resource.Type) bool {
	return t.Group == "apiextensions.k8s.io" && t.Resource == "customresourcedefinitions"
}

// waker wakes a scanner when definitions come, change or go.
type waker struct{ scanner *capabilities.Scanner }

// Apply implements [index.Listener].
func (w waker) Apply(c index.Change) {
	if isDefinition(c.Type) {
		w.scanner.Wake()
	}
}

// definitions implements [capabilities.Source] over the index. Their identities are the digests by which the index knows
// them, of which the UID is a part: one that was deleted and created again in the same form while nobody watched is
// known for another one.
type definitions struct {
	index  *index.Index
	inStep func() bool
	begun  atomic.Bool // the receivers were in step once
}

// Definitions implements [capabilities.Source].
func (d *definitions) Definitions() (map[string]string, bool) {
	if !d.begun.Load() {
		if !d.inStep() {
			return nil, false
		}
		d.begun.Store(true)
	}
	for _, t := range d.index.Types() {
		if !isDefinition(t) {
			continue
		}
		names, stats := d.index.Snapshot(t)
		if !stats.Listed {
			continue
		}
		all := make(map[string]string, len(names))
		for _, n := range names {
			if digest, _, ok := d.index.Get(t, "", n); ok { // else it has gone just now
				all[n] = strconv.FormatUint(digest, 16)
			}
		}
		return all, true
	}
	return nil, false
}

// scannedKey holds what was scanned, as JSON.
const scannedKey = "scanned"

// scanned implements [capabilities.Store] over a ConfigMap. One member at a time writes it; should two, the second is
// refused and reads again.
type scanned struct {
	client corev1client.ConfigMapInterface
	ring   string
}

func (s scanned) name() string { return s.ring + "-capabilities" }

// Load implements [capabilities.Store].
func (s scanned) Load(ctx context.Context) (map[string]string, error) {
	m, err := s.client.Get(ctx, s.name(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return map[string]string{}, nil
	case err != nil:
		return nil, fmt.Errorf("reading ConfigMap %s: %w", s.name(), err)
	}
	done := make(map[string]string)
	if text := m.Data[scannedKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &done); err != nil {
			return nil, fmt.Errorf("reading ConfigMap %s: %w", s.name(), err)
		}
	}
	return done, nil
}

// Save implements [capabilities.Store].
func (s scanned) Save(ctx context.Context, done map[string]string) error {
	text, err := json.Marshal(done)
	if err != nil {
		return fmt.Errorf("encoding what was scanned: %w", err)
	}
	m, err := s.client.Get(ctx, s.name(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		_, err = s.client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: s.name()}, Data: map[string]string{scannedKey: string(text)},
		}, metav1.CreateOptions{})
	case err == nil:
		m.Data = map[string]string{scannedKey: string(text)}
		_, err = s.client.Update(ctx, m, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", s.name(), err)
	}
	return nil
}
