package app

import (
	"fmt"

	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/capabilities"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// capabilitiesKey is the key in the ring whose owner has capabilities scanned.
const capabilitiesKey resource.ID = "capabilities"

// newScanner makes what tells CAPABILITIES_ENDPOINT of definitions; nil when there is none.
func (a *App) newScanner(restConfig *rest.Config, maps corev1client.ConfigMapsGetter) (*capabilities.Scanner, error) {
	cfg := a.cfg
	if cfg.CapabilitiesEndpoint == nil {
		return nil, nil // It is off.
	}
	opts := capabilities.Options{
		Version: a.opts.Version, Leader: func() bool { return a.shard.Member.MaySend(capabilitiesKey) },
		Log: a.log.WithName("capabilities"), Registerer: a.reg,
	}
	// Whom to trust, and as whom to appear, is the same for both. Token and headers are the receiver's, and
	// nobody else's business.
	opts.Files = outbound.Files{CA: cfg.Files.CA, Cert: cfg.Files.Cert, Key: cfg.Files.Key}
	if e := cfg.Endpoint; e != nil && e.Scheme == cfg.CapabilitiesEndpoint.Scheme && e.Host == cfg.CapabilitiesEndpoint.Host {
		opts.Files = cfg.Files
		if cfg.AuthTokenFile != "" {
			opts.Token = delivery.TokenFile(cfg.AuthTokenFile)
		}
	}
	client, err := dynamic.NewForConfig(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client of definitions: %w", err)
	}
	source := capabilities.NewDefinitions(client, a.discovery.Definitions, a.inStep, opts.Log)
	store := capabilities.NewConfigMap(maps.ConfigMaps(cfg.PodNamespace), cfg.RingName)
	s, err := capabilities.New(cfg.CapabilitiesEndpoint, source, store, opts)
	if err != nil {
		return nil, fmt.Errorf("making the scanner of capabilities: %w", err)
	}
	return s, nil
}

// definitionSeen wakes the scanner: a definition has come, changed or gone.
func (a *App) definitionSeen() {
	if a.scanner != nil {
		a.scanner.Wake()
	}
}

// inStep tells whether all receivers have everything.
func (a *App) inStep() bool {
	if !a.ready() {
		return false
	}
	for _, t := range a.targets() {
		if !t.InStep() {
			return false
		}
	}
	return true
}
