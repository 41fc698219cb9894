package receiver

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/embedding"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/vectors"
)

// EmbedderOptions say which embedder gives documents and questions their vectors. The zero value is none: the search
// then knows words alone.
type EmbedderOptions struct {
	// URL, Model and KeyFile are those of [embedding.Options].
	URL, Model, KeyFile string
	// Batch is how many texts go into one request; 0 is 32.
	Batch int
	// Timeout bounds a request; 0 is 30 s. A question waits for [questionTimeout] at most.
	Timeout time.Duration
}

const (
	defaultEmbedderBatch = 32
	// questionTimeout is how long a person waits for the vector of a question, before words alone have to do.
	questionTimeout = 2 * time.Second
	// The pause after a failure doubles from the least to the most, and is spread by a quarter.
	leastPause = time.Second
	mostPause  = time.Minute
	// questionRest is for how long questions do without after one that timed out: the embedder is busy with documents.
	questionRest = 10 * time.Second
	// probeText is a word that every embedder can read: whether a refusal is about the text or about everything.
	probeText = "kubernetes"
	// vectorsName is the file in the data directory.
	vectorsName = "vectors.db"
)

// EmbedderState is how it stands with the embedder.
//
//	unasked ──answer──▶ answering ⇄ failing
//	   └─────failure──────────────────▲
type EmbedderState int

// The states of an embedder.
const (
	EmbedderUnasked EmbedderState = iota
	EmbedderAnswering
	EmbedderFailing
)

// String returns the state as it is logged and answered.
func (s EmbedderState) String() string {
	switch s {
	case EmbedderAnswering:
		return "answering"
	case EmbedderFailing:
		return "failing"
	default:
		return "unasked"
	}
}

// MarshalText implements [encoding.TextMarshaler].
func (s EmbedderState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// EmbedderStatus is what /status says of the embedder.
type EmbedderStatus struct {
	URL   string        `json:"url"`
	Model string        `json:"model,omitempty"`
	State EmbedderState `json:"state"`
	// Since is when it came into this state.
	Since time.Time `json:"since"`
	// Error is why it fails.
	Error string `json:"error,omitempty"`
	// NextAttempt is when it is asked again.
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	// Documents have a vector, Pending wait for one, Refused have a text that the embedder does not take.
	Documents int `json:"documents"`
	Pending   int `json:"pending"`
	Refused   int `json:"refused"`
	Dimension int `json:"dimension,omitempty"`
	// Embedded counts the texts that were embedded since the start, questions not among them.
	Embedded uint64 `json:"embedded"`
}

// embedder is [embedding.Client], or a test's.
type embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
	URL() string
	Close()
}

// meaning gives documents their vectors, behind the stores as the index of words is. Changes only mark a document: what
// waits are IDs, each once, so that the backlog is never longer than the documents are many. One goroutine reads the
// texts when their turn comes, a batch at a time; an embedder that is down keeps it waiting, and nobody else.
type meaning struct {
	client  embedder
	vectors *vectors.Store
	docs    *stores
	logger  logr.Logger
	batch   int
	model   string

	ctx  context.Context // ends with stop; bounds requests of the background
	stop context.CancelFunc
	done chan struct{} // nil until start
	wake chan struct{}

	// Only the goroutine touches these.
	size int // texts in the next request
	mine struct {
		dimension int // that the embedder has given in this run, 0 before
	}

	mu      sync.Mutex // guards all below; nothing else is taken while it is held
	pending map[indexKey]struct{}
	working int                 // documents that are in the goroutine's hands
	refused map[indexKey]uint64 // documents whose text the embedder does not take, with its hash
	asks    time.Time           // questions do without before it
	health  health
}

// health is how it stands with the embedder, and since when.
type health struct {
	state    EmbedderState
	since    time.Time
	err      error
	failures int
	next     time.Time
	embedded uint64
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
	go m.run() // close ends it and waits
}

func (m *meaning) run() {
	defer close(m.done)
	for m.ctx.Err() == nil {
		pause, idle := m.step()
		var after <-chan time.Time
		var wake <-chan struct{}
		switch {
		case pause > 0: // whatever changes meanwhile gathers
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

// step embeds one batch. It returns how long to pause after a failure, or that there is nothing to do.
func (m *meaning) step() (pause time.Duration, idle bool) {
	m.mu.Lock()
	wait := time.Until(m.health.next)
	failing := m.health.state == EmbedderFailing
	m.mu.Unlock()
	if failing && wait > 0 { // a question has found out
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
	m.size = max(1, m.size/2) // it may be too slow for so many
	if m.ctx.Err() != nil {
		return 0, true
	}
	return m.failed(err), false
}

// work is what one request is made of.
type work struct {
	texts  []string
	hashes []uint64
	keys   []indexKey // a document that has the text
	// assign says of documents which text they have, known or in texts; gone are no more.
	assign map[string]uint64
	gone   []string
}

// gather reads the texts of documents. What has a vector, or is refused, is not in them.
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

// refuses tells whether a document's text is known to be refused. That of an earlier text is forgotten.
func (m *meaning) refuses(k indexKey, hash uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was, refused := m.refused[k]
	if refused && was != hash {
		delete(m.refused, k)
	}
	return refused && was == hash
}

// embed asks for the vectors of a batch and keeps them. A batch that is refused is halved; a single text that is refused,
// while another one is not, is set aside.
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
	if len(w.hashes) == 0 { // it was the probe
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

// keep stores vectors. The first answer of a run may bring another dimension than the file has: the model behind the URL
// was changed, and everything is embedded again. A later one is refused: one after the other would be paid for in turns.
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

// answered notes that the embedder does, and how many texts it embedded.
func (m *meaning) answered(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.health.state != EmbedderAnswering {
		m.logger.Info("Embedder answers", "url", m.client.URL(), "model", m.model, "pending", len(m.pending))
		m.health.state, m.health.since = EmbedderAnswering, time.Now()
	}
	m.health.err, m.health.failures, m.health.next = nil, 0, time.Time{}
	m.health.embedded += uint64(n)
	if len(m.pending) == 0 { // it has time for questions
		m.asks = time.Time{}
	}
}

// failed notes that it does not, and returns how long to leave it alone.
func (m *meaning) failed(err error) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.health.state != EmbedderFailing {
		m.logger.Error(err, "Embedder fails; documents are found by words until it answers", "url", m.client.URL(), "pending", len(m.pending))
		m.health.state, m.health.since = EmbedderFailing, time.Now()
	}
	pause := min(leastPause<<min(m.health.failures, 10), mostPause)
	pause += time.Duration(rand.Int64N(int64(pause / 4))) //nolint:gosec // It spreads load and hides nothing.
	m.health.err, m.health.next = err, time.Now().Add(pause)
	m.health.failures++
	return pause
}

// take removes up to n marks. What is then to be done again, mark puts back.
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

// ask returns the vector of a question, or nil where words alone have to do: while the embedder fails or is too busy.
func (m *meaning) ask(ctx context.Context, q string) []float32 {
	m.mu.Lock()
	without := m.health.state == EmbedderFailing || time.Now().Before(m.asks)
	m.mu.Unlock()
	if without {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	got, err := m.client.Embed(bounded, []string{q})
	refusal := (*embedding.RefusedError)(nil)
	switch {
	case err == nil:
		return got[0]
	case ctx.Err() != nil || errors.As(err, &refusal): // who asked has left, or it is for the question's sake
	case bounded.Err() != nil:
		m.mu.Lock()
		m.asks = time.Now().Add(questionRest)
		m.mu.Unlock()
	default:
		m.failed(err)
		wakeUp(m.wake) // to try again when the pause is over
	}
	return nil
}

// status says how it stands.
func (m *meaning) status() EmbedderStatus {
	documents, dimension := m.vectors.Len()
	m.mu.Lock()
	defer m.mu.Unlock()
	s := EmbedderStatus{
		URL: m.client.URL(), Model: m.model, State: m.health.state, Since: m.health.since,
		Documents: documents, Pending: len(m.pending) + m.working, Refused: len(m.refused), Dimension: dimension, Embedded: m.health.embedded,
	}
	if m.health.err != nil {
		s.Error = m.health.err.Error()
	}
	if !m.health.next.IsZero() {
		next := m.health.next
		s.NextAttempt = &next
	}
	return s
}

func (m *meaning) close() error {
	m.stop()
	if m.done != nil {
		<-m.done
	}
	m.client.Close()
	return m.vectors.Close()
}
