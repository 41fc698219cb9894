package app

import (
	"fmt"
	"net"
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/health"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/inspect"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kubeauth"
)

// servers are the addresses on which the process listens. All are bound before anything else starts, so that an
// address that is taken is an error at start.
type servers struct {
	api     net.Listener
	health  *health.Server
	metrics metricsserver.Server // nil when switched off
}

// listen binds the addresses and makes the API.
func (a *App) listen(restConfig *rest.Config) (_ *servers, err error) {
	s := &servers{}
	s.health = &health.Server{Handler: health.Handler(a.ready, s.metricsOpen)}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.api, err = listenOn("API_BIND_ADDRESS", a.cfg.APIBindAddress); err != nil {
		return nil, err
	}
	if s.health.Listener, err = listenOn("HEALTH_PROBE_BIND_ADDRESS", a.cfg.HealthProbeBindAddress); err != nil {
		return nil, err
	}
	reviewer, err := newReviewer(restConfig)
	if err != nil {
		return nil, err
	}
	if s.metrics, err = a.metricsServer(restConfig, reviewer); err != nil {
		return nil, err
	}
	options := api.Options{Log: a.log.WithName("api"), Registerer: ctrlmetrics.Registry}
	options.Destroy = reviewer.Authorize
	if a.cfg.APIAuth {
		options.Authorize = reviewer.Authorize
	}
	a.api = api.New(a.backend(), options)
	return s, nil
}

func (s *servers) close() {
	if s.api != nil {
		_ = s.api.Close()
	}
	if s.health.Listener != nil {
		_ = s.health.Listener.Close()
	}
}

// metricsOpen tells whether the port of the metrics takes connections, or is switched off. The server binds the
// port by itself, a moment after it is started.
func (s *servers) metricsOpen() bool {
	bound, ok := s.metrics.(interface{ GetBindAddr() string })
	return !ok || bound.GetBindAddr() != ""
}

// metricsServer serves metrics as controller-runtime does: over HTTPS, to callers whom the API server authorizes.
// Without a mounted certificate it makes its own; it reads a mounted one again when that is renewed. With
// DEBUG_ENDPOINTS authorized callers may look inside, too. That takes authorization even without HTTPS.
func (a *App) metricsServer(restConfig *rest.Config, reviewer *kubeauth.Reviewer) (metricsserver.Server, error) {
	if a.cfg.MetricsBindAddress == config.Off {
		return nil, nil // Switched off is no error.
	}
	options := metricsserver.Options{
		BindAddress: a.cfg.MetricsBindAddress, SecureServing: a.cfg.MetricsSecure, CertDir: a.cfg.MetricsCertDir,
	}
	wrap := func(handler http.Handler) http.Handler {
		return reviewer.Wrap(handler, func(err error) { a.log.Error(err, "Reader of metrics could not be authorized") })
	}
	if a.cfg.DebugEndpoints {
		options.ExtraHandlers = inspect.Handlers(a.backend())
	}
	if a.cfg.MetricsSecure {
		options.FilterProvider = func(*rest.Config, *http.Client) (metricsserver.Filter, error) {
			return func(_ logr.Logger, handler http.Handler) (http.Handler, error) { return wrap(handler), nil }, nil
		}
	} else {
		for path, handler := range options.ExtraHandlers {
			options.ExtraHandlers[path] = wrap(handler)
		}
	}
	server, err := metricsserver.NewServer(options, restConfig, http.DefaultClient) // Neither uses the client.
	if err != nil {
		return nil, fmt.Errorf("making the metrics server: %w", err)
	}
	return server, nil
}
