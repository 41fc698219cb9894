package capabilities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound/httpclient"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wake"
)

// Source knows the CustomResourceDefinitions.
type Source interface {
	// Definitions returns all definitions by name (plural.group), each with an identity that is not empty. The
	// identity differs when the definition has to be scanned again, at least after it was deleted and created again.
	// The result is false as long as the source does not know all of them, or the instances are not yet in step. The
	// caller does not change the map.
	Definitions() (map[string]string, bool)
}

// Store keeps the scanned names with their identities for the next leader and the next process. Its methods may
// block until ctx ends.
type Store interface {
	// Load returns the names that any member saved last, and nothing without an error before the first save. The
	// caller owns the map.
	Load(ctx context.Context) (map[string]string, error)
	// Save replaces the saved names. It does not keep the map.
	Save(ctx context.Context, done map[string]string) error
}

// Options are the settings of a [Scanner]. Their zero values suit cluster-whisperer.
type Options struct {
	// Token and CA are as in [httpclient.Options].
	Token func() (string, error)
	CA    []byte
	// Files are as in [httpclient.Options].
	Files outbound.Files
	// Version is the version of this program.
	Version string
	// Leader tells whether this member is the one of the fleet that scans. It is asked before each request. Nil means
	// that it is.
	Leader func() bool
	// MaxNames bounds the names in one request. Zero means 5.
	MaxNames int
	// Settle is how old a definition has to be. Zero means 10 s: the receiver asks kubectl, which has to see it.
	Settle time.Duration
	// PerName is the pause after a request, for each of its names. Zero means 6 s: 5 s for the language model and 0.8
	// s for kubectl were seen. The receiver does not report the end of a scan.
	PerName time.Duration
	// Timeout bounds a request. Zero means 60 s; the receiver answers at once, unless it is in the middle of a scan.
	Timeout time.Duration
	// Poll is the time between looks at source and leadership without a call of Wake. Zero means 30 s.
	Poll time.Duration
	// Transport replaces the connections, for tests. Nil means real ones.
	Transport http.RoundTripper
	// Log takes the beginning and the end of trouble, and each name that is refused.
	Log logr.Logger
	// Registerer takes the metrics. Nil means none.
	Registerer prometheus.Registerer
}

// Scanner keeps a receiver in step with the definitions. Create it with [New].
type Scanner struct {
	client  client
	source  Source
	store   Store
	opts    Options
	metrics *metrics
	woken   wake.Slot

	// Only Run uses the fields below.
	plan     *plan // nil when this member does not lead, or has not yet loaded the scanned names
	unsaved  bool  // the plan's done differs from the stored names
	trouble  bool  // the log says that the receiver cannot be reached
	failures int   // of the store, in a row
}

// New makes a scanner that posts to endpoint, a complete URL. It opens no connection.
func New(endpoint *url.URL, source Source, store Store, opts Options) (*Scanner, error) {
	if endpoint == nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" {
		return nil, errors.New("endpoint is no complete URL, want one such as http://cluster-whisperer:3000/api/v1/capabilities/scan")
	}
	opts.MaxNames = cmp.Or(opts.MaxNames, 5)
	opts.Settle = cmp.Or(opts.Settle, 10*time.Second)
	opts.PerName = cmp.Or(opts.PerName, 6*time.Second)
	opts.Poll = cmp.Or(opts.Poll, 30*time.Second)
	if opts.Leader == nil {
		opts.Leader = func() bool { return true }
	}
	e, err := httpclient.New(httpclient.Options{
		Version: opts.Version, Token: opts.Token, CA: opts.CA, Host: endpoint.Hostname(), Files: opts.Files, Timeout: opts.Timeout, Transport: opts.Transport,
	})
	if err != nil {
		return nil, fmt.Errorf("making the client of %s: %w", endpoint.Redacted(), err)
	}
	return &Scanner{
		client: client{http: e, endpoint: endpoint}, source: source, store: store, opts: opts,
		metrics: newMetrics(opts.Registerer), woken: wake.New(),
	}, nil
}

// Wake says that definitions or leadership may have changed. It does not block.
func (s *Scanner) Wake() { s.woken.Wake() }

// Run scans until ctx ends. It never fails: it counts failures, logs their beginning and their end, and tries
// again. It is called once.
func (s *Scanner) Run(ctx context.Context) error {
	defer s.client.http.Close()
	for ctx.Err() == nil {
		wait := s.step(ctx)
		if wait <= 0 {
			continue
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.woken:
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// step takes the next step, and returns how long the scanner may sleep unless it is woken.
func (s *Scanner) step(ctx context.Context) time.Duration {
	if !s.opts.Leader() {
		s.plan = nil
		s.metrics.pending(0, 0)
		return s.opts.Poll
	}
	defs, complete := s.source.Definitions()
	if !complete {
		return s.opts.Poll
	}
	if s.plan == nil {
		done, err := s.store.Load(ctx)
		if err != nil {
			return s.stored(fmt.Errorf("reading the scanned definitions: %w", err))
		}
		t := timing{batch: s.opts.MaxNames, settle: s.opts.Settle, perName: s.opts.PerName}
		s.plan, s.unsaved = newPlan(time.Now(), t, done), false
	}
	if s.unsaved {
		if wait := s.save(ctx); wait > 0 {
			return wait
		}
	}
	s.metrics.pending(s.plan.pending(defs))
	b, until := s.plan.next(time.Now(), defs)
	if b.size() == 0 {
		if until.IsZero() {
			return s.opts.Poll
		}
		return max(1, min(time.Until(until), s.opts.Poll))
	}
	return s.send(ctx, b, defs)
}

func (s *Scanner) send(ctx context.Context, b batch, defs map[string]string) time.Duration {
	if s.plan.begin(b) {
		s.unsaved = true
		if wait := s.save(ctx); wait > 0 {
			return wait
		}
	}
	if ctx.Err() != nil || !s.opts.Leader() { // Saving may have taken long.
		return 0
	}
	r, err := s.client.scan(ctx, b, time.Now)
	if ctx.Err() != nil && err != nil {
		return 0
	}
	s.metrics.landed(b, r)
	s.report(b, r, err)
	if s.plan.complete(time.Now(), b, r) {
		s.unsaved = true
	}
	s.metrics.pending(s.plan.pending(defs))
	return 0
}

// save writes the scanned names, and returns how long to wait before the next try, 0 when they are written.
func (s *Scanner) save(ctx context.Context) time.Duration {
	if err := s.store.Save(ctx, s.plan.done); err != nil {
		return s.stored(fmt.Errorf("writing the scanned definitions: %w", err))
	}
	s.unsaved = false
	return s.stored(nil)
}

// stored records the outcome of a call of the store.
func (s *Scanner) stored(err error) time.Duration {
	if err == nil {
		s.failures = 0
		return 0
	}
	wait := min(leastWait<<min(s.failures, 10), mostWait)
	s.failures++
	if s.failures == 1 {
		s.opts.Log.Error(err, "Capabilities wait: the ConfigMap of scanned definitions cannot be read or written; trying again")
	}
	return wait
}

// report logs the beginning and the end of trouble.
func (s *Scanner) report(b batch, r result, err error) {
	switch {
	case r.kind == accepted && s.trouble:
		s.trouble = false
		s.opts.Log.Info("Capabilities are scanned again")
	case r.kind == refused && b.size() == 1:
		s.opts.Log.Error(err, "Definition is refused; it is sent again when it changes", "added", b.upserts, "removed", b.deletes)
	case r.kind == failed && !s.trouble:
		s.trouble = true
		s.opts.Log.Error(err, "Capabilities cannot be scanned; trying again", "endpoint", s.client.endpoint.Redacted())
	}
}
