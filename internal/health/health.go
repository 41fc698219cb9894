package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Handler answers the probes. A replica is ready only while its metrics port is open.
func Handler(read, metricsOpen func() bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { probe(w, true, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		switch {
		case !read():
			probe(w, false, "the cluster's types have not all been read yet")
		case !metricsOpen():
			probe(w, false, "the metrics port is not open yet")
		default:
			probe(w, true, "ok")
		}
	})
	return mux
}

func probe(w http.ResponseWriter, ok bool, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if !ok {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_, _ = w.Write([]byte(text + "\n"))
}

// Server serves the probes until its context ends.
type Server struct {
	Listener net.Listener
	Handler  http.Handler
}

// Run serves until ctx ends. It blocks.
func (h *Server) Run(ctx context.Context) error {
	server := &http.Server{
		Handler: h.Handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}
	stopped := make(chan struct{})
	go func() { // Ends with ctx; waited for below.
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(grace) // A probe that hangs is cut off.
		_ = server.Close()
	}()
	if err := server.Serve(h.Listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	<-stopped
	return nil
}
