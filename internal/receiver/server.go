package receiver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
)

// Options configure a [Server]. The zero value is a strict receiver in memory without credentials for dot-ai, hence
// one that answers 401 to that contract, as the real one does.
type Options struct {
	// Dir keeps the documents; they survive Close and kill -9. Empty keeps them in memory alone.
	Dir string
	// DotAIToken is the bearer token of dot-ai's contract.
	DotAIToken string
	// Lenient does what a person would rather have: any media type is read as JSON, the last of two equal IDs wins,
	// and without a DotAIToken nobody needs one. Tests want false.
	Lenient bool
	// Admin serves the endpoints under /admin/. They let anybody who can reach them read and break everything.
	Admin bool

	// EmbedLatency is what one call of the embedder takes: one per 100 upserts for cluster-whisperer, one per upsert
	// for dot-ai.
	EmbedLatency time.Duration
	// DeleteLatency is what one delete takes in dot-ai's contract; the real one takes 100 ms.
	DeleteLatency time.Duration
	// ScanLatency is what one name takes in capabilities/scan; it is spent after the answer.
	ScanLatency time.Duration
	// Settle is how much later a request is written when its client has left before the first write.
	Settle time.Duration

	// MaxRecords bounds the finished requests that are remembered, 0: all of them, which is what an oracle needs.
	MaxRecords int
	// DotAIMaxBytes makes bodies above it fail with 413 and an HTML page, as an nginx in front of dot-ai does (1 MiB
	// unless configured); 0: no limit.
	DotAIMaxBytes int64
	// IndexOnSearch leaves the search index alone until the first search, which then takes about 10 s per 50,000
	// documents. Tests that count or measure want true: it saves one CPU.
	IndexOnSearch bool
	// Embedder ranks by meaning beside the words; its zero value is none.
	Embedder EmbedderOptions

	// Version is told to assistants.
	Version string
	// Logger gets failures and the start and stop; its zero value logs nothing.
	Logger logr.Logger
}

// Server is a receiver. It is made by [New].
type Server struct {
	opts     Options
	docs     *stores
	log      *journal
	recorder *recorder
	faults   faults
	circuit  circuit
	scans    scans
	search   *searcher
	meaning  *meaning // nil without an embedder
	mux      *http.ServeMux

	stop    chan struct{} // closed by Close; ends every pause
	running sync.WaitGroup

	mu       sync.Mutex // guards all below
	closed   bool
	released chan struct{} // closed and replaced by Release
}

// New starts a receiver. It blocks while the log in Dir is read, about half a second per 50,000 documents.
func New(opts Options) (*Server, error) {
	s := &Server{
		opts:     opts,
		recorder: newRecorder(opts.MaxRecords),
		stop:     make(chan struct{}),
		released: make(chan struct{}),
	}
	s.search = newSearcher(opts.Dir, opts.Logger)
	s.docs = newStores(s.changed)
	if opts.Dir != "" {
		log, err := openJournal(opts.Dir, s.docs)
		if err != nil {
			return nil, fmt.Errorf("opening data directory %s: %w", opts.Dir, err)
		}
		s.log, s.docs.log = log, log
	}
	s.search.attach(s.docs)
	if err := s.startMeaning(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if !opts.IndexOnSearch {
		s.search.start()
	}
	s.mux = s.routes()
	return s, nil
}

// startMeaning opens the vectors and begins to embed, if there is an embedder. The journal, which holds the directory
// for this process, is open already.
func (s *Server) startMeaning() error {
	if s.opts.Embedder.URL == "" {
		return nil
	}
	m, err := newMeaning(s.opts.Dir, s.opts.Embedder, s.opts.Logger)
	if err != nil {
		return fmt.Errorf("preparing the embedder: %w", err)
	}
	s.meaning, s.search.meaning = m, m
	if err := m.attach(s.docs); err != nil {
		return fmt.Errorf("preparing the embedder: %w", err)
	}
	m.start()
	return nil
}

// changed marks a document wherever it is to be indexed.
func (s *Server) changed(store, id string) {
	s.search.changed(store, id)
	if s.meaning != nil {
		s.meaning.changed(store, id)
	}
}

// Close ends the requests that a fault or a simulated latency holds, without applying what they had not yet applied,
// waits for all others, and releases the data directory. Calls after the first do nothing.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	close(s.stop)
	s.running.Wait()
	err := s.search.close()
	if s.meaning != nil {
		err = errors.Join(err, s.meaning.close())
	}
	if s.log != nil {
		err = errors.Join(err, s.log.close())
	}
	return err
}

// enter counts a request in, unless the server is closed. The caller calls running.Done when it is through.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Add(1)
	return true
}

// Handler serves both contracts, the search page and, with [Options.Admin], the admin endpoints.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serve) }

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, errClosed.Error(), http.StatusServiceUnavailable)
		return
	}
	defer s.running.Done()
	if c := s.contractOf(r); c != nil {
		s.serveContract(w, r, c)
		return
	}
	if _, pattern := s.mux.Handler(r); pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	textAnswer(http.StatusNotFound, "404 Not Found").write(w)
}

// contractOf finds the endpoint of a real receiver that a request means, nil for none. cluster-whisperer's framework
// does not mind a trailing slash; dot-ai's does.
func (s *Server) contractOf(r *http.Request) contract {
	switch strings.TrimSuffix(r.URL.Path, "/") {
	case "/api/v1/instances/sync":
		return instancesContract{lenient: s.opts.Lenient}
	case "/api/v1/capabilities/scan":
		return capabilitiesContract{lenient: s.opts.Lenient}
	case "/healthz", "/readyz":
		return healthContract{}
	}
	if p := r.URL.Path; strings.HasPrefix(p, "/api/v1/resources") || strings.HasPrefix(p, "/api/v1/namespaces") {
		if p == "/api/v1/resources/sync" {
			return resourcesContract{s.opts}
		}
		return listContract{opts: s.opts, request: r}
	}
	return nil
}

// pause waits for d, or fails when the server is closed.
func (s *Server) pause(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	return s.hold(context.Background(), Duration(d), nil)
}

// hold waits for d, for release, for the end of ctx, or fails when the server is closed.
func (s *Server) hold(ctx context.Context, d Duration, release <-chan struct{}) error {
	var after <-chan time.Time
	if d != Forever {
		t := time.NewTimer(time.Duration(d))
		defer t.Stop()
		after = t.C
	}
	select {
	case <-after:
	case <-release:
	case <-ctx.Done():
	case <-s.stop:
		return errClosed
	}
	return nil
}

func (s *Server) releases() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.released
}

// Release lets go of every request that a fault holds: those of ApplyLate are applied, those of Hang reset.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.released)
	s.released = make(chan struct{})
}

// SetFaults replaces all rules. With an error, which names everything that is wrong, the old rules stay. Requests that
// a rule has taken already go on under it.
func (s *Server) SetFaults(rules ...Rule) error { return s.faults.set(rules, time.Now()) }

// ClearFaults removes all rules, releases what they hold and closes the circuit in front of dot-ai's embedder.
func (s *Server) ClearFaults() {
	_ = s.faults.set(nil, time.Now()) // no rule, no error
	s.circuit.reset()
	s.Release()
}

// Documents returns a store's documents ordered by ID, and nothing for a store that does not exist.
func (s *Server) Documents(store string) []Document {
	list := s.docs.list(store, byID, 0)
	out := make([]Document, 0, len(list))
	for _, k := range list {
		if d, err := k.unpack(); err == nil { // what pack wrote, unpack reads
			out = append(out, d)
		}
	}
	return out
}

// Document returns one document.
func (s *Server) Document(store, id string) (Document, bool) { return s.docs.get(store, id) }

// Len returns the number of documents in a store.
func (s *Server) Len(store string) int { return s.docs.size(store) }

// Clear empties a store, as a database does that comes back with an empty volume. It blocks until that is durable.
func (s *Server) Clear(store string) error {
	_, ticket, err := s.docs.apply(write{Store: store, Deletes: s.docs.ids(store)})
	if err != nil {
		return err
	}
	return s.docs.wait(ticket)
}

// Requests returns the records with a number above since, in order, those in flight included. They are copies.
func (s *Server) Requests(since uint64) []Record { return s.recorder.since(since) }

// ResetRequests forgets all finished requests and starts the statistics again. Numbers go on.
func (s *Server) ResetRequests() { s.recorder.reset() }

// Overlaps returns the pairs of requests that held one ID at the same time, abandoned ones included.
func (s *Server) Overlaps() []Overlap { return s.recorder.listOverlaps() }

// Status is what GET /status answers.
type Status struct {
	// Documents are counted by store.
	Documents map[string]int `json:"documents"`
	// Unindexed documents have changed and are not yet found by their new words.
	Unindexed int `json:"unindexed"`
	// Embedder is nil without one: documents are then ranked by words alone.
	Embedder *EmbedderStatus `json:"embedder,omitempty"`
}

// Status says what is held, and how far the search is behind.
func (s *Server) Status() Status {
	st := Status{Documents: map[string]int{}, Unindexed: s.search.behind()}
	for _, store := range []string{Instances, Resources, Capabilities} {
		st.Documents[store] = s.docs.size(store)
	}
	if s.meaning != nil {
		e := s.meaning.status()
		st.Embedder = &e
	}
	return st
}

// Stats returns the sums.
func (s *Server) Stats() Stats {
	st := s.recorder.snapshot()
	st.Documents = map[string]int{}
	for _, store := range []string{Instances, Resources, Capabilities} {
		st.Documents[store] = s.docs.size(store)
	}
	return st
}
