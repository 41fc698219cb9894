package receiver

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver/embedding"
)

// EmbedderOptions name the embedder that gives documents and questions their vectors. The zero value names none:
// the search then ranks by words alone.
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
	// questionTimeout is how long a person waits for the vector of a question; then the search ranks by words alone.
	questionTimeout = 2 * time.Second
	// The pause after a failure doubles from leastPause to mostPause, and is spread by a quarter.
	leastPause = time.Second
	mostPause  = time.Minute
	// questionRest is how long questions go without vectors after one that timed out: the embedder is busy with
	// documents.
	questionRest = 10 * time.Second
	// probeText is a word that every embedder can read. It shows whether a refusal concerns one text or all of them.
	probeText = "kubernetes"
	// vectorsName is the file in the data directory.
	vectorsName = "vectors.db"
)

// EmbedderState is the state of the embedder.
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

// EmbedderStatus is the answer of /status about the embedder.
type EmbedderStatus struct {
	URL   string        `json:"url"`
	Model string        `json:"model,omitempty"`
	State EmbedderState `json:"state"`
	// Since is when the embedder came into this state.
	Since time.Time `json:"since"`
	// Error is the last failure.
	Error string `json:"error,omitempty"`
	// NextAttempt is when the embedder is asked again.
	NextAttempt *time.Time `json:"nextAttempt,omitempty"`
	// Documents counts documents with a vector, Pending those that wait for one, Refused those that it does not take.
	Documents int `json:"documents"`
	Pending   int `json:"pending"`
	Refused   int `json:"refused"`
	Dimension int `json:"dimension,omitempty"`
	// Embedded counts the texts that were embedded since the start, questions not among them.
	Embedded uint64 `json:"embedded"`
}

// health is the state of the embedder, and since when.
type health struct {
	state    EmbedderState
	since    time.Time
	err      error
	failures int
	next     time.Time
	embedded uint64
}

// answered records an answer of the embedder, and how many texts it embedded.
func (m *meaning) answered(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.health.state != EmbedderAnswering {
		m.logger.Info("Embedder answers", "url", m.client.URL(), "model", m.model, "pending", len(m.pending))
		m.health.state, m.health.since = EmbedderAnswering, time.Now()
	}
	m.health.err, m.health.failures, m.health.next = nil, 0, time.Time{}
	m.health.embedded += uint64(n)
	if len(m.pending) == 0 { // the embedder has time for questions
		m.asks = time.Time{}
	}
}

// failed records a failure of the embedder, and returns how long to leave it alone.
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

// ask returns the vector of a question. It returns nil while the embedder fails or is too busy.
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
	case ctx.Err() != nil || errors.As(err, &refusal): // the client has left, or the question itself is refused
	case bounded.Err() != nil:
		m.mu.Lock()
		m.asks = time.Now().Add(questionRest)
		m.mu.Unlock()
	default:
		m.failed(err)
		wakeUp(m.wake) // to try again after the pause
	}
	return nil
}

// status returns the state of the embedder.
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
