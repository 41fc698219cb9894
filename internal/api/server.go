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

// The timeouts of the server. They end connections of clients that do not speak or do not listen; a request that
// waits for a resync extends its own.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
	// maxHeaderBytes leaves room for the largest tokens of identity providers.
	maxHeaderBytes = 32 << 10
)

// Options are what may be left out.
type Options struct {
	// Log is where failures go. Its zero value discards.
	Log logr.Logger
	// Registerer takes the metrics; nil takes none.
	Registerer prometheus.Registerer
	// Authorize decides about every request, after those of foreign web pages were refused. When it does not allow one,
	// status is the answer (401, 403, or 5xx when it cannot tell) and err, which may be nil, the reason: for 4xx the
	// client is told, for 5xx the log. nil allows everything.
	Authorize func(r *http.Request) (allowed bool, status int, err error)
	// Destroy decides, likewise, about requests that may delete what a person has not looked at (force), when
	// Authorize has not decided about them and they do not come from this very machine, as those through a
	// port-forward do. nil allows none.
	Destroy func(r *http.Request) (allowed bool, status int, err error)
	// Wait bounds how long POST /api/v1/resync waits when it is not told; 0 means 10 minutes.
	Wait time.Duration
	// Resyncs bounds POST /api/v1/resync; its zero value means 1 a second after 10 at once.
	Resyncs Limit
	// Reads bounds everything else, which is cheap, but not free with a thousand types: it stops a loop that has gone
	// wild. Its zero value means 100 a second after 200 at once.
	Reads Limit
}

// Limit is how many requests are served. Those beyond get 429.
type Limit struct {
	// PerSecond is how many for as long as it takes.
	PerSecond float64
	// Burst is how many at once.
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
	paths     []string // of all routes, to suggest from
	handler   http.Handler
}

// errStopping is why the requests that still wait are cancelled when the server stops.
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

// Handler returns the whole API as a handler, for servers of other making and for tests.
func (s *Server) Handler() http.Handler { return s.handler }

// Run serves connections of ln until ctx ends, and closes ln. It then answers the requests that start or wait for a
// resync with 503, gives all others five seconds, closes what is still busy, and returns nil. An error means that ln
// failed before.
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
		_ = srv.Close() // it can only say that ln was closed twice
	}
	<-served //nolint:errcheck // It only says that the server was closed.
	return nil
}
