package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// servers are what the process listens on. All addresses are bound before anything starts, so that one that is taken
// is an error at start.
type servers struct {
	api     net.Listener
	health  *healthServer
	metrics metricsserver.Server // nil when switched off
}

// listen binds the addresses and makes the API.
func (a *App) listen(restConfig *rest.Config) (_ *servers, err error) {
	s := &servers{health: &healthServer{handler: a.healthHandler()}}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.api, err = listenOn("API_BIND_ADDRESS", a.cfg.APIBindAddress); err != nil {
		return nil, err
	}
	if s.health.listener, err = listenOn("HEALTH_PROBE_BIND_ADDRESS", a.cfg.HealthProbeBindAddress); err != nil {
		return nil, err
	}
	if s.metrics, err = a.metricsServer(restConfig); err != nil {
		return nil, err
	}
	options := api.Options{Log: a.log.WithName("api"), Registerer: ctrlmetrics.Registry}
	if a.cfg.APIAuth {
		if options.Authorize, err = authorizer(restConfig, a.log.WithName("api")); err != nil {
			return nil, err
		}
	}
	a.api = api.New(a, options)
	return s, nil
}

func (s *servers) close() {
	if s.api != nil {
		_ = s.api.Close()
	}
	if s.health.listener != nil {
		_ = s.health.listener.Close()
	}
}

// metricsServer serves metrics as controller-runtime does: over HTTPS, with a certificate of its own making unless one
// is mounted (and read again when it is renewed), to those whom the API server authorizes.
func (a *App) metricsServer(restConfig *rest.Config) (metricsserver.Server, error) {
	if a.cfg.MetricsBindAddress == config.Off {
		return nil, nil //nolint:nilnil // Switched off is no error.
	}
	options := metricsserver.Options{
		BindAddress: a.cfg.MetricsBindAddress, SecureServing: a.cfg.MetricsSecure, CertDir: a.cfg.MetricsCertDir,
	}
	if a.cfg.MetricsSecure {
		options.FilterProvider = filters.WithAuthenticationAndAuthorization
	}
	client, err := rest.HTTPClientFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("making the client that authorizes readers of metrics: %w", err)
	}
	server, err := metricsserver.NewServer(options, restConfig, client)
	if err != nil {
		return nil, fmt.Errorf("making the metrics server: %w", err)
	}
	return server, nil
}

// healthHandler answers the probes.
func (a *App) healthHandler() http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, check healthz.Checker) {
		handler := http.StripPrefix(path, &healthz.Handler{Checks: map[string]healthz.Checker{"ready": check}})
		mux.Handle(path, handler)
		mux.Handle(path+"/", handler)
	}
	serve("/healthz", healthz.Ping)
	serve("/readyz", func(*http.Request) error {
		if !a.ready() {
			return errors.New("the cluster's types have not all been read yet")
		}
		return nil
	})
	return mux
}

// healthServer serves the probes until its context ends.
type healthServer struct {
	listener net.Listener
	handler  http.Handler
}

func (h *healthServer) run(ctx context.Context) error {
	server := &http.Server{
		Handler: h.handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 8 << 10,
	}
	stopped := make(chan struct{})
	go func() { // Ends with ctx; waited for below.
		defer close(stopped)
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = server.Shutdown(grace) // A probe that hangs is cut.
		_ = server.Close()
	}()
	if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", err)
	}
	<-stopped
	return nil
}
