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

// Options configure a [Server]. The zero value is a strict receiver in memory without credentials for dot-ai. It
// answers 401 to that contract, as the real one does.
type Options struct {
	// Dir keeps the documents; they survive Close and kill -9. Empty keeps them in memory alone.
	Dir string
	// DotAIToken is the bearer token of dot-ai's contract.
	DotAIToken string
	// Lenient relaxes the contracts as people prefer. The receiver reads any media type as JSON, takes the last of two
	// equal IDs, and needs no token without a DotAIToken. Tests want false.
	Lenient bool
	// Admin serves the endpoints under /admin/. Any caller who can reach them may read and break everything.
	Admin bool

	// EmbedLatency is the time of one call of the embedder: one per 100 upserts for cluster-whisperer, one per upsert
	// for dot-ai.
	EmbedLatency time.Duration
	// DeleteLatency is the time of one delete in dot-ai's contract; the real one takes 100 ms.
	DeleteLatency time.Duration
	// ScanLatency is the time of one name in capabilities/scan; it is spent after the answer.
	ScanLatency time.Duration
	// Settle is how much later a request is written if its client has left before the first write.
	Settle time.Duration

	// MaxRecords bounds the finished requests that are remembered; 0 keeps all, as an oracle needs them.
	MaxRecords int
	// DotAIMaxBytes makes longer bodies fail with 413 and an HTML page, as an nginx in front of dot-ai does (1 MiB
	// unless configured); 0 means no limit.
	DotAIMaxBytes int64
	// IndexOnSearch leaves the search index alone until the first search, which then takes about 10 s per 50,000
	// documents. Tests that count or measure want true: it saves one CPU.
	IndexOnSearch bool
	// Embedder names an embedder, for a ranking by meaning beside the words; its zero value names none.
	Embedder EmbedderOptions

	// Version is the version that assistants receive.
	Version string
	// Logger takes failures and the start and stop; its zero value logs nothing.
	Logger logr.Logger
}

// Server is a receiver. Make it with [New].
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

	mu       sync.Mutex // guards the fields below
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

// startMeaning opens the vectors and begins to embed, if there is an embedder. The journal is open by then, and
// holds the directory for this process.
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

// changed marks a document in every index.
func (s *Server) changed(store, id string) {
	s.search.changed(store, id)
	if s.meaning != nil {
		s.meaning.changed(store, id)
	}
}

// Close ends the requests that a fault or a simulated latency holds, without applying the rest of them. It waits
// for all others, and releases the data directory. Calls after the first do nothing.
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

// enter counts a request in, unless the server is closed. The caller calls running.Done at its end.
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

// contractOf finds the endpoint of a real receiver that a request means, nil for none. cluster-whisperer's
// framework accepts a trailing slash; dot-ai's does not.
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

// Release ends the wait of every request that a fault holds: those of ApplyLate are applied, those of Hang reset.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.released)
	s.released = make(chan struct{})
}

// SetFaults replaces all rules. With an error, which names all mistakes, the old rules stay. Requests that a rule
// has taken already go on under it.
func (s *Server) SetFaults(rules ...Rule) error { return s.faults.set(rules, time.Now()) }

// ClearFaults removes all rules, releases their requests and closes the circuit in front of dot-ai's embedder.
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
		if d, err := k.unpack(); err == nil { // unpack can read all that pack writes
			out = append(out, d)
		}
	}
	return out
}

// Document returns one document.
func (s *Server) Document(store, id string) (Document, bool) { return s.docs.get(store, id) }

// Len returns the number of documents in a store.
func (s *Server) Len(store string) int { return s.docs.size(store) }

// Clear empties a store, like a database that comes back with an empty volume. It blocks until that is durable.
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

// Status is the answer to GET /status.
type Status struct {
	// Documents counts documents by store.
	Documents map[string]int `json:"documents"`
	// Unindexed counts changed documents that a search does not yet find by their new words.
	Unindexed int `json:"unindexed"`
	// Embedder is nil without an embedder: documents are then ranked by words alone.
	Embedder *EmbedderStatus `json:"embedder,omitempty"`
}

// Status returns how many documents there are, and how far the search is behind.
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
