package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/capabilities"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/configmap"
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
		Log: a.log.WithName("capabilities"), Registerer: a.parts.reg,
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
	source := &definitions{seen: a.discovery.Definitions, client: client.Resource(definitionResource), inStep: a.inStep, log: opts.Log}
	store := scanned{client: maps.ConfigMaps(cfg.PodNamespace), ring: cfg.RingName}
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
		if s := t.pipeline.Stats(); !t.read() || s.First.Done < s.First.Total || s.Dirty > 0 {
			return false
		}
	}
	return true
}

// definitionsPage is how many definitions are read at once: each may be some hundred kilobytes.
const definitionsPage = 10

// definitionsTimeout bounds the reading of definitions that are new or have changed.
const definitionsTimeout = time.Minute

var definitionResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// definitions implements [capabilities.Source] over what discovery sees of definitions, whether they are sent
// as objects or not. Their identities are made of what is served: of the versions that are, with their
// schemas. A label, an annotation or the certificate of a conversion webhook makes no other definition.
// Generations say which have to be read anew.
type definitions struct {
	seen   func() (generations map[string]int64, complete bool)
	client dynamic.ResourceInterface
	inStep func() bool
	log    logr.Logger
	begun  atomic.Bool // the receivers were in step once

	mu    sync.Mutex // guards known
	known map[string]identified
}

// identified is a definition of which the identity is known.
type identified struct {
	generation int64
	identity   string
}

// Definitions implements [capabilities.Source]. It may read definitions from the API server.
func (d *definitions) Definitions() (map[string]string, bool) {
	if !d.begun.Load() {
		if !d.inStep() {
			return nil, false
		}
		d.begun.Store(true)
	}
	generations, complete := d.seen()
	if !complete {
		return nil, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = make(map[string]identified)
	}
	maps.DeleteFunc(d.known, func(name string, _ identified) bool { _, there := generations[name]; return !there })
	if err := d.read(generations); err != nil {
		d.log.Error(err, "Definitions cannot be read; capabilities wait")
		return nil, false
	}
	all := make(map[string]string, len(d.known))
	for name, of := range d.known {
		all[name] = of.identity
	}
	return all, true
}

// read reads the definitions that are new or have another generation, all at once if they are many.
func (d *definitions) read(generations map[string]int64) error {
	var missing []string
	for name, generation := range generations {
		if of, known := d.known[name]; !known || of.generation != generation {
			missing = append(missing, name)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), definitionsTimeout)
	defer cancel()
	if len(missing) > definitionsPage {
		return d.list(ctx, "")
	}
	for _, name := range missing { // A list of one: to get it is a right that nobody has to be given.
		if err := d.list(ctx, fields.OneTermEqualSelector("metadata.name", name).String()); err != nil {
			return err
		}
	}
	return nil
}

func (d *definitions) list(ctx context.Context, selector string) error {
	for opts := (metav1.ListOptions{Limit: definitionsPage, FieldSelector: selector}); ; {
		list, err := d.client.List(ctx, opts)
		if err != nil {
			return fmt.Errorf("listing definitions: %w", err)
		}
		for i := range list.Items {
			o := &list.Items[i]
			d.known[o.GetName()] = identified{o.GetGeneration(), identityOf(o.Object)}
		}
		if opts.Continue = list.GetContinue(); opts.Continue == "" {
			return nil
		}
	}
}

// identityOf names what a definition serves.
func identityOf(definition map[string]any) string {
	spec, _, _ := unstructured.NestedMap(definition, "spec")
	versions, _, _ := unstructured.NestedSlice(spec, "versions")
	served := []any{spec["group"], spec["names"], spec["scope"]}
	for _, version := range versions {
		if v, ok := version.(map[string]any); ok && v["served"] == true {
			served = append(served, v["name"], v["schema"])
		}
	}
	text, err := json.Marshal(served) // with the keys of maps in order
	if err != nil {                   // It came as JSON.
		return "unknown"
	}
	return strconv.FormatUint(xxhash.Sum64(text), 16)
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
	m, err := configmap.Get(ctx, s.client, s.name())
	if err != nil {
		return nil, fmt.Errorf("reading ConfigMap %s: %w", s.name(), err)
	}
	done := make(map[string]string)
	if m != nil && m.Data[scannedKey] != "" {
		if err := json.Unmarshal([]byte(m.Data[scannedKey]), &done); err != nil {
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
	m, err := configmap.Get(ctx, s.client, s.name())
	if err == nil {
		_, err = configmap.Put(ctx, s.client, s.name(), m, configmap.Content{Data: map[string]string{scannedKey: string(text)}})
	}
	if err != nil {
		return fmt.Errorf("writing ConfigMap %s: %w", s.name(), err)
	}
	return nil
}
