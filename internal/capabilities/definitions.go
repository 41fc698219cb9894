package capabilities

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
)

// definitionsPage is how many definitions are read at once: each may be some hundred kilobytes.
const definitionsPage = 10

// definitionsTimeout bounds the reading of definitions that are new or have changed.
const definitionsTimeout = time.Minute

var definitionResource = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}

// Definitions is a [Source] of the definitions that discovery sees, whether they are sent as objects or not. The
// identity of a definition is made of the versions that it serves, with their schemas. So a change of a label, an
// annotation or the certificate of a conversion webhook keeps the identity. Generations say which definitions have
// to be read anew.
type Definitions struct {
	seen   func() (generations map[string]int64, complete bool)
	client dynamic.ResourceInterface
	inStep func() bool
	log    logr.Logger
	begun  atomic.Bool // the receivers have been in step once

	mu    sync.Mutex // guards known
	known map[string]identified
}

// NewDefinitions returns the definitions that seen reports, once inStep says that the receivers have everything.
func NewDefinitions(client dynamic.Interface, seen func() (generations map[string]int64, complete bool), inStep func() bool, log logr.Logger) *Definitions {
	return &Definitions{seen: seen, client: client.Resource(definitionResource), inStep: inStep, log: log, known: make(map[string]identified)}
}

// identified is a definition whose identity is known.
type identified struct {
	generation int64
	identity   string
}

// Definitions implements [Source]. It may read definitions from the API server.
func (d *Definitions) Definitions() (map[string]string, bool) {
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
func (d *Definitions) read(generations map[string]int64) error {
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
	for _, name := range missing { // A list of one, because the right to get is one more right to grant.
		if err := d.list(ctx, fields.OneTermEqualSelector("metadata.name", name).String()); err != nil {
			return err
		}
	}
	return nil
}

func (d *Definitions) list(ctx context.Context, selector string) error {
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

// identityOf returns a text for the versions that a definition serves.
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
	if err != nil {                   // A value that came as JSON can be written as JSON.
		return "unknown"
	}
	return strconv.FormatUint(xxhash.Sum64(text), 16)
}
