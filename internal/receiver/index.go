package receiver

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/blevesearch/bleve/v2"
	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/custom"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/keyword"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/token/porter"
	unicodetokens "github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/index/scorch"
	"github.com/blevesearch/bleve/v2/mapping"
	"github.com/go-logr/logr"
)

const (
	// indexBatch is how many documents go into the index at once; larger batches are hardly faster and take memory.
	indexBatch = 1000
	// indexGather is how long changes gather before they are indexed, unless a search comes first.
	indexGather = 250 * time.Millisecond
	// infrastructure is the name of the analyzer of all text.
	infrastructure = "infrastructure"
	storeField     = "store"
	// namespaceField and kindField hold the values as they are, but in lower case.
	namespaceField = "in"
	kindField      = "of"
)

// searcher is the full-text index behind the stores. A change only marks a document; one goroutine, or a search
// that cannot wait, brings the index up to date. Each run makes the index anew, and it is never the only copy of
// any data.
type searcher struct {
	dir    string // data directory, empty for none
	logger logr.Logger
	docs   *stores
	// meaning ranks beside the words; nil without an embedder.
	meaning *meaning

	stop chan struct{}
	done chan struct{} // nil until start
	wake chan struct{}

	mu    sync.Mutex // guards dirty; no other lock is taken while it is held
	dirty map[indexKey]struct{}

	drain    sync.Mutex // held while the index is written to or opened; guards the fields below
	index    bleve.Index
	analyzer analysis.Analyzer
	temp     string // directory to remove at the end
	closed   bool
}

type indexKey struct{ store, id string }

// String is the key in the index. No store has a bar in its name.
func (k indexKey) String() string { return k.store + "|" + k.id }

func parseIndexKey(s string) indexKey {
	store, id, _ := strings.Cut(s, "|")
	return indexKey{store, id}
}

func newSearcher(dir string, logger logr.Logger) *searcher {
	return &searcher{
		dir: dir, logger: logger,
		stop: make(chan struct{}), wake: make(chan struct{}, 1),
		dirty: map[indexKey]struct{}{},
	}
}

// attach names the stores to read from and marks all their documents. It is called once, before start and find.
func (x *searcher) attach(docs *stores) {
	x.docs = docs
	for _, store := range []string{Instances, Resources} {
		for _, id := range docs.ids(store) {
			x.changed(store, id)
		}
	}
}

// changed marks one document. It does not block.
func (x *searcher) changed(store, id string) {
	if store == Capabilities {
		return // names alone are not worth finding
	}
	x.mu.Lock()
	x.dirty[indexKey{store, id}] = struct{}{}
	x.mu.Unlock()
	wakeUp(x.wake)
}

// behind is how many documents are marked.
func (x *searcher) behind() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.dirty)
}

// start begins to index in the background.
func (x *searcher) start() {
	x.done = make(chan struct{})
	go x.run() // close ends it and waits for it
}

func (x *searcher) run() {
	defer close(x.done)
	for {
		select {
		case <-x.wake:
		case <-x.stop:
			return
		}
		select {
		case <-time.After(indexGather):
		case <-x.stop:
			return
		}
		if err := x.flush(); err != nil && !errors.Is(err, errClosed) {
			x.logger.Error(err, "Failed to index documents")
		}
	}
}

// take removes up to n marks.
func (x *searcher) take(n int) []indexKey {
	x.mu.Lock()
	defer x.mu.Unlock()
	out := make([]indexKey, 0, min(n, len(x.dirty)))
	for k := range x.dirty {
		if len(out) == n {
			break
		}
		out = append(out, k)
		delete(x.dirty, k)
	}
	return out
}

// flush brings the index up to date with every change that was made before the call.
func (x *searcher) flush() error {
	x.drain.Lock()
	defer x.drain.Unlock()
	if err := x.open(); err != nil {
		return err
	}
	for {
		keys := x.take(indexBatch)
		if len(keys) == 0 {
			return nil
		}
		select {
		case <-x.stop:
			return errClosed
		default:
		}
		if err := x.write(keys); err != nil {
			return err
		}
	}
}

func (x *searcher) write(keys []indexKey) error {
	batch := x.index.NewBatch()
	for _, k := range keys {
		d, held := x.docs.get(k.store, k.id)
		if !held {
			batch.Delete(k.String())
			continue
		}
		if err := batch.Index(k.String(), fieldsOf(k.store, d)); err != nil {
			return fmt.Errorf("analysing document %s: %w", k, err)
		}
	}
	if err := x.index.Batch(batch); err != nil {
		return fmt.Errorf("writing index: %w", err)
	}
	return nil
}

// open makes a new index in the data directory or a temporary one. If neither can be written, the index is in
// memory and grows with every change until the end. The caller holds drain.
func (x *searcher) open() error {
	if x.closed {
		return errClosed
	}
	if x.index != nil {
		return nil
	}
	m, err := newMapping()
	if err != nil {
		return fmt.Errorf("building index mapping: %w", err)
	}
	path := x.makeDir()
	x.index, err = bleve.NewUsing(path, m, scorch.Name, scorch.Name, map[string]any{"unsafe_batch": true})
	if err != nil {
		x.index = nil // NewUsing returns a value that is not nil with an error
		return fmt.Errorf("creating index: %w", err)
	}
	x.analyzer = m.AnalyzerNamed(infrastructure)
	return nil
}

func (x *searcher) makeDir() string {
	var err error
	if x.dir != "" {
		x.temp = filepath.Join(x.dir, "index")
		err = os.RemoveAll(x.temp) // the remains of an earlier run, which may be torn
	} else {
		x.temp, err = os.MkdirTemp("", "receiver-index-")
	}
	if err != nil {
		x.logger.Info("Keeping the search index in memory", "reason", err.Error())
		x.temp = ""
		return ""
	}
	return filepath.Join(x.temp, "bleve")
}

func (x *searcher) close() error {
	close(x.stop)
	if x.done != nil {
		<-x.done
	}
	x.drain.Lock()
	defer x.drain.Unlock()
	x.closed = true
	if x.index == nil {
		return nil
	}
	err := x.index.Close()
	x.index = nil
	if x.temp != "" {
		err = errors.Join(err, os.RemoveAll(x.temp))
	}
	return err
}

// newMapping indexes all text with one analyzer and stores none of it: hits are read from the stores.
func newMapping() (*mapping.IndexMappingImpl, error) {
	m := bleve.NewIndexMapping()
	err := m.AddCustomAnalyzer(infrastructure, map[string]any{
		"type":          custom.Name,
		"tokenizer":     unicodetokens.Name,
		"token_filters": []string{lowercase.Name, en.PossessiveName, en.StopName, porter.Name},
	})
	if err != nil {
		return nil, err
	}
	doc := bleve.NewDocumentStaticMapping()
	for _, f := range searchFields {
		doc.AddFieldMappingsAt(f.name, plainField(infrastructure))
	}
	for _, name := range []string{storeField, namespaceField, kindField} {
		doc.AddFieldMappingsAt(name, plainField(keyword.Name))
	}
	m.DefaultMapping = doc
	m.DefaultAnalyzer = infrastructure
	return m, nil
}

func plainField(analyzer string) *mapping.FieldMapping {
	f := bleve.NewTextFieldMapping()
	f.Analyzer = analyzer
	f.Store, f.IncludeTermVectors, f.IncludeInAll, f.DocValues = false, false, false, false
	return f
}

// searchFields are the parts of a document that are searched, with the weight of a word in each. The weights are
// chosen, not measured. A kind says what an object is, and its name or the group of a custom resource say nearly
// the same. Labels and descriptions say with which other things the object has to do.
var searchFields = []struct {
	name   string
	weight float64
	text   func(Document) string
}{
	{"kind", 4, func(d Document) string { return spread(d.Kind) }},
	{"name", 3, func(d Document) string { return spread(d.Name) }},
	{"labels", 2.5, func(d Document) string { return labelText(d.Labels) }},
	{"namespace", 2, func(d Document) string { return spread(d.Namespace) }},
	{"group", 3, func(d Document) string { return spread(groupOf(d.APIVersion)) }},
	{"description", 1.5, func(d Document) string { return valueText(d.Annotations) }},
}

func fieldsOf(store string, d Document) map[string]any {
	fields := map[string]any{
		storeField: store, namespaceField: strings.ToLower(d.Namespace), kindField: strings.ToLower(d.Kind),
	}
	for _, f := range searchFields {
		fields[f.name] = f.text(d)
	}
	return fields
}

// labelText holds the values of labels and the last part of their keys: app.kubernetes.io/component says
// "component", and every object has the rest. Values that look like hashes are left out.
func labelText(labels map[string]string) string {
	var b strings.Builder
	for k, v := range labels {
		if i := strings.LastIndexByte(k, '/'); i >= 0 {
			k = k[i+1:]
		}
		if hashLabels[k] {
			continue
		}
		b.WriteString(spread(k))
		b.WriteByte(' ')
		b.WriteString(spread(v))
		b.WriteByte(' ')
	}
	return b.String()
}

// hashLabels have values without a meaning for a reader.
var hashLabels = map[string]bool{"pod-template-hash": true, "controller-revision-hash": true}

func valueText(m map[string]string) string {
	var b strings.Builder
	for _, v := range m {
		b.WriteString(spread(v))
		b.WriteByte(' ')
	}
	return b.String()
}

// spread takes identifiers apart: "StatefulSet" becomes "Stateful Set StatefulSet", so that both "stateful set" and
// "statefulset" find it, and "payment-api.shop" becomes "payment api shop".
func spread(s string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(s, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		parts := camelParts(word)
		for _, p := range parts {
			b.WriteString(p)
			b.WriteByte(' ')
		}
		if len(parts) > 1 {
			b.WriteString(word)
			b.WriteByte(' ')
		}
	}
	return b.String()
}

// camelParts splits before an upper-case letter that follows a lower-case one or precedes it: HTTPRoute is HTTP, Route.
func camelParts(word string) []string {
	r := []rune(word)
	var parts []string
	from := 0
	for i := 1; i < len(r); i++ {
		if unicode.IsUpper(r[i]) && (unicode.IsLower(r[i-1]) || i+1 < len(r) && unicode.IsLower(r[i+1])) {
			parts = append(parts, string(r[from:i]))
			from = i
		}
	}
	return append(parts, string(r[from:]))
}
