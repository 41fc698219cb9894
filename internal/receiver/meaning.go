package receiver

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/embedding"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/vectors"
)

// embedder is [embedding.Client], or the fake of a test.
type embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	URL() string
	Close()
}

// meaning gives documents their vectors, behind the stores as the index of words is. A change only marks a
// document. The marks are IDs, each once, so the backlog never has more entries than there are documents. One
// goroutine reads the texts when their turn comes, a batch at a time. An embedder that is down holds up this
// goroutine alone.
type meaning struct {
	client  embedder
	vectors *vectors.Store
	docs    *stores
	logger  logr.Logger
	batch   int
	model   string

	ctx  context.Context // ends with stop; bounds the background requests
	stop context.CancelFunc
	done chan struct{} // nil until start
	wake chan struct{}

	// Only the goroutine touches these fields.
	size int // texts in the next request
	mine struct {
		dimension int // of the embedder's vectors in this run, 0 before the first
	}

	mu      sync.Mutex // guards the fields below; no other lock is taken while it is held
	pending map[indexKey]struct{}
	working int                 // documents that the goroutine is working on
	refused map[indexKey]uint64 // documents whose text the embedder does not take, with its hash
	asks    time.Time           // until then, questions go without vectors
	health  health
}

// newMeaning opens the vectors beside the documents. dir is empty for none.
func newMeaning(dir string, opts EmbedderOptions, logger logr.Logger) (*meaning, error) {
	client, err := embedding.New(embedding.Options{URL: opts.URL, Model: opts.Model, KeyFile: opts.KeyFile, Timeout: opts.Timeout})
	if err != nil {
		return nil, err
	}
	path := ""
	if dir != "" {
		path = filepath.Join(dir, vectorsName)
	}
	kept, anew, err := vectors.Open(path, opts.Model)
	if err != nil {
		return nil, err
	}
	if anew != "" {
		logger.Info("Embedding all documents anew", "file", path, "reason", anew)
	}
	m := &meaning{
		client: client, vectors: kept, logger: logger, model: opts.Model, batch: opts.Batch,
		wake:    make(chan struct{}, 1),
		pending: map[indexKey]struct{}{}, refused: map[indexKey]uint64{},
	}
	if m.batch < 1 {
		m.batch = defaultEmbedderBatch
	}
	m.size = m.batch
	m.health.since = time.Now()
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// attach names the stores to read from, and tells which of their documents have a vector. It is called once, before
// start.
func (m *meaning) attach(docs *stores) error {
	m.docs = docs
	known := map[string]uint64{}
	for _, store := range []string{Instances, Resources} {
		for _, id := range docs.ids(store) {
			key := indexKey{store, id}
			if d, held := docs.get(store, id); held {
				if _, hash := meaningText(d); m.vectors.Has(hash) {
					known[key.String()] = hash
					continue
				}
			}
			m.changed(store, id)
		}
	}
	return errors.Join(m.vectors.Assign(known, nil), m.vectors.Prune())
}

// changed marks one document. It does not block.
func (m *meaning) changed(store, id string) {
	if store == Capabilities {
		return
	}
	m.mu.Lock()
	m.pending[indexKey{store, id}] = struct{}{}
	m.mu.Unlock()
	wakeUp(m.wake)
}

// start begins to embed in the background.
func (m *meaning) start() {
	m.done = make(chan struct{})
	go m.run() // close ends it and waits for it
}

func (m *meaning) run() {
	defer close(m.done)
	for m.ctx.Err() == nil {
		pause, idle := m.step()
		var after <-chan time.Time
		var wake <-chan struct{}
		switch {
		case pause > 0: // further changes gather meanwhile
			after = time.After(pause)
		case idle:
			wake = m.wake
		default:
			continue
		}
		select {
		case <-m.ctx.Done():
		case <-after:
		case <-wake:
		}
	}
}

// step embeds one batch. It returns how long to pause after a failure, or that no document waits.
func (m *meaning) step() (pause time.Duration, idle bool) {
	m.mu.Lock()
	wait := time.Until(m.health.next)
	failing := m.health.state == EmbedderFailing
	m.mu.Unlock()
	if failing && wait > 0 { // a question has found the failure
		return wait, false
	}
	keys := m.take(m.size)
	if len(keys) == 0 && !failing {
		return 0, true
	}
	b := m.gather(keys)
	if len(b.texts) == 0 && failing {
		b.texts, b.hashes = []string{probeText}, nil
	}
	err := m.embed(b)
	if err == nil {
		keys = nil
	}
	m.mark(keys)
	if err == nil {
		return 0, false
	}
	m.size = max(1, m.size/2) // the embedder may be too slow for so many
	if m.ctx.Err() != nil {
		return 0, true
	}
	return m.failed(err), false
}

// work is the content of one request.
type work struct {
	texts  []string
	hashes []uint64
	keys   []indexKey // a document that has the text
	// assign says which texts documents have, known or in texts; gone are documents that are deleted.
	assign map[string]uint64
	gone   []string
}

// gather reads the texts of documents. It leaves out texts with a vector, and texts that are refused.
func (m *meaning) gather(keys []indexKey) work {
	w := work{assign: map[string]uint64{}}
	asked := map[uint64]bool{}
	for _, k := range keys {
		d, held := m.docs.get(k.store, k.id)
		if !held {
			w.gone = append(w.gone, k.String())
			m.refuses(k, 0)
			continue
		}
		text, hash := meaningText(d)
		w.assign[k.String()] = hash
		if asked[hash] || m.refuses(k, hash) || m.vectors.Has(hash) {
			continue
		}
		asked[hash] = true
		w.texts, w.hashes, w.keys = append(w.texts, text), append(w.hashes, hash), append(w.keys, k)
	}
	return w
}

// refuses tells whether a document's text is known to be refused. It forgets the refusal of an earlier text.
func (m *meaning) refuses(k indexKey, hash uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, refused := m.refused[k]
	if refused && was != hash {
		delete(m.refused, k)
	}
	return refused && was == hash
}

// embed asks for the vectors of a batch and keeps them. A batch that is refused is halved. A single text is set
// aside if it is refused while another one is not.
func (m *meaning) embed(w work) error {
	if len(w.texts) > 0 {
		got, err := m.client.Embed(m.ctx, w.texts)
		if refusal := (*embedding.RefusedError)(nil); errors.As(err, &refusal) {
			return m.refusal(w, err)
		}
		if err == nil {
			err = m.keep(w, got)
		}
		if err != nil {
			return err
		}
		m.size = min(2*m.size, m.batch)
	}
	return m.vectors.Assign(w.assign, w.gone)
}

func (m *meaning) refusal(w work, err error) error {
	if len(w.texts) > 1 {
		half := len(w.texts) / 2
		for _, part := range []work{
			{texts: w.texts[:half], hashes: w.hashes[:half], keys: w.keys[:half]},
			{texts: w.texts[half:], hashes: w.hashes[half:], keys: w.keys[half:]},
		} {
			if err := m.embed(part); err != nil {
				return err
			}
		}
		m.size = max(1, half)
		return m.vectors.Assign(w.assign, w.gone)
	}
	if len(w.hashes) == 0 { // the request was the probe
		return err
	}
	if _, probe := m.client.Embed(m.ctx, []string{probeText}); probe != nil {
		return err
	}
	m.mu.Lock()
	m.refused[w.keys[0]] = w.hashes[0]
	m.mu.Unlock()
	m.answered(0)
	m.logger.Info("Embedder refuses a text, which is found by its words alone until it changes", "reason", err.Error())
	return m.vectors.Assign(w.assign, w.gone)
}

// keep stores vectors. The first answer of a run may have another dimension than the file: the model behind the URL
// was changed, and all texts are embedded again. A later change is refused: two models that answer in
// turns would have all texts embedded each time.
func (m *meaning) keep(w work, got [][]float32) error {
	dim := len(got[0])
	_, kept := m.vectors.Len()
	switch {
	case m.mine.dimension == 0 && kept != 0 && kept != dim:
		m.logger.Info("Embedder gives vectors of another dimension, so that all documents are embedded anew", "was", kept, "is", dim)
		if err := m.vectors.Reset(); err != nil {
			return err
		}
		for _, store := range []string{Instances, Resources} {
			for _, id := range m.docs.ids(store) {
				m.changed(store, id)
			}
		}
	case m.mine.dimension != 0 && m.mine.dimension != dim:
		return fmt.Errorf("embedder gives vectors of %d numbers where it gave %d before: another model; start the receiver again to embed all anew",
			dim, m.mine.dimension)
	}
	m.mine.dimension = dim
	byHash := make(map[uint64][]float32, len(w.hashes))
	for i, h := range w.hashes {
		byHash[h] = got[i]
	}
	if err := m.vectors.Add(byHash); err != nil {
		return err
	}
	m.answered(len(w.hashes))
	return nil
}

// take removes up to n marks. The caller puts the marks of failed documents back.
func (m *meaning) take(n int) []indexKey {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]indexKey, 0, min(n, len(m.pending)))
	for k := range m.pending {
		if len(out) == n {
			break
		}
		out = append(out, k)
		delete(m.pending, k)
	}
	m.working = len(out)
	return out
}

func (m *meaning) mark(keys []indexKey) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		m.pending[k] = struct{}{}
	}
	m.working = 0
}

func (m *meaning) close() error {
	m.stop()
	if m.done != nil {
		<-m.done
	}
	m.client.Close()
	return m.vectors.Close()
}
