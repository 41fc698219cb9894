package receiver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/embedding"
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

// health is how it stands with the embedder, and since when.
type health struct {
	state    EmbedderState
	since    time.Time
	err      error
	failures int
	next     time.Time
	embedded uint64
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
	pause += time.Duration(rand.Int64N(int64(pause / 4)))
	m.health.err, m.health.next = err, time.Now().Add(pause)
	m.health.failures++
	return pause
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
