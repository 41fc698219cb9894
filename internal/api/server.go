package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// These timeouts end connections of clients that do not send or do not read. A request that waits for a resync
// extends its own.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
	// maxHeaderBytes leaves room for the largest tokens of identity providers.
	maxHeaderBytes = 32 << 10
)

// Options are optional settings.
type Options struct {
	// Log takes failures. Its zero value discards them.
	Log logr.Logger
	// Registerer takes the metrics; nil takes none.
	Registerer prometheus.Registerer
	// Authorize decides about every request that does not come from a foreign web page. When it does not allow one,
	// status is the answer: 401, 403, or 5xx when Authorize cannot tell. err, which may be nil, is the reason, which
	// goes to the client for 4xx and to the log for 5xx. nil allows everything.
	Authorize func(r *http.Request) (allowed bool, status int, err error)
	// Destroy decides, likewise, about requests that may delete documents without a person's look at them (force). It
	// is not asked when Authorize has decided, or when the request comes from this very machine, as requests through a
	// port-forward do. nil allows none.
	Destroy func(r *http.Request) (allowed bool, status int, err error)
	// Wait bounds how long POST /api/v1/resync waits if the request does not say it; 0 means 10 minutes.
	Wait time.Duration
	// Resyncs bounds POST /api/v1/resync; its zero value means 1 a second after 10 at once.
	Resyncs Limit
	// Reads bounds all other requests. They are cheap, but not free with a thousand types, so the limit stops a loop
	// that has gone wild. Its zero value means 100 a second after 200 at once.
	Reads Limit
}

// Limit is how many requests are served. Further ones get 429.
type Limit struct {
	// PerSecond is how many requests are served per second in the long run.
	PerSecond float64
	// Burst is how many requests are served at once.
	Burst int
}

// limiter returns a limiter with a default for each field that is zero or below.
func (l Limit) limiter(perSecond float64, burst int) *rate.Limiter {
	if l.PerSecond > 0 {
		perSecond = l.PerSecond
	}
	if l.Burst > 0 {
		burst = l.Burst
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// Server serves the API. Make it with [New].
type Server struct {
	backend   Backend
	log       logr.Logger
	metrics   *metrics
	authorize func(r *http.Request) (allowed bool, status int, err error)
	destroy   func(r *http.Request) (allowed bool, status int, err error)
	wait      time.Duration
	resyncs   *rate.Limiter
	reads     *rate.Limiter
	paths     []string // of all routes, for suggestions
	handler   http.Handler
}

// errStopping is the cause with which waiting requests are cancelled when the server stops.
var errStopping = errors.New("the API server is stopping")

// New returns a server of a backend. It starts nothing.
func New(backend Backend, opts Options) *Server {
	s := &Server{
		backend:   backend,
		log:       opts.Log,
		metrics:   newMetrics(opts.Registerer),
		authorize: opts.Authorize,
		destroy:   opts.Destroy,
		wait:      opts.Wait,
		resyncs:   opts.Resyncs.limiter(1, 10),
		reads:     opts.Reads.limiter(100, 200),
	}
	if s.wait <= 0 {
		s.wait = 10 * time.Minute
	}
	s.handler = s.chain(s.routes())
	return s
}

// Handler returns the whole API as a handler, for other servers and for tests.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves connections of ln until ctx ends, and closes ln. It then answers the requests that start or wait for a
// resync with 503, gives all others five seconds, closes the connections that are still busy, and returns nil. An
// error means that ln failed before.
func (s *Server) Run(ctx context.Context, ln net.Listener) error {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cancel(errStopping)
	srv := &http.Server{
		Handler:           s.handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(s.log.V(1)), slog.LevelDebug),
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(ln) }() // ends with Shutdown or with ln, and is waited for below
	select {
	case err := <-served:
		return fmt.Errorf("serving the API: %w", err)
	case <-ctx.Done():
	}
	cancel(errStopping)
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if err := srv.Shutdown(grace); err != nil {
		s.log.Info("Closed API connections that were still busy", "error", err.Error())
		_ = srv.Close() // the only possible error is that ln was closed twice
	}
	<-served //nolint:errcheck // It only says that the server was closed.
	return nil
}
