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

// capabilitiesKey is the key in the ring whose owner has definitions scanned.
const capabilitiesKey resource.ID = "capabilities"

// newScanner makes the scanner that names definitions to CAPABILITIES_ENDPOINT; nil when there is none.
func (a *App) newScanner(restConfig *rest.Config, maps corev1client.ConfigMapsGetter) (*capabilities.Scanner, error) {
	cfg := a.cfg
	if cfg.CapabilitiesEndpoint == nil {
		return nil, nil // The scanner is switched off.
	}
	opts := capabilities.Options{
		Version: a.opts.Version, Leader: func() bool { return a.shard.Member.MaySend(capabilitiesKey) },
		Log: a.log.WithName("capabilities"), Registerer: a.reg,
	}
	// The authorities to trust and the client's certificate are the same for both endpoints. Token and headers belong
	// to the receiver alone, and are sent to no other endpoint.
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

// definitionSeen wakes the scanner when a definition has come, changed or gone.
func (a *App) definitionSeen() {
	if a.scanner != nil {
		a.scanner.Wake()
	}
}

// inStep tells whether all receivers have acknowledged every change.
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
