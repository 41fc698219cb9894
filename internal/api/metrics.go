package api

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// metrics are those of the HTTP API. Routes, methods and codes are of bounded number; paths are never labels.
type metrics struct {
	requests *prometheus.CounterVec
	inFlight prometheus.Gauge
	panics   prometheus.Counter
}

// newMetrics registers the metrics; with a nil registerer they count, and no caller can read them.
func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_api_requests_total",
			Help: "Completed requests to the HTTP API, by route, method and status code; 499 means that the client had gone.",
		}, []string{"route", "method", "code"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_api_requests_in_flight",
			Help: "Requests to the HTTP API in flight, including those that wait for a resync.",
		}),
		panics: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_api_panics_total",
			Help: "Requests to the HTTP API that ended in a panic, which is a bug; 0 for ever.",
		}),
	}
}

// zero makes the labels of the good case of a route visible before its first request.
func (m *metrics) zero(route, method string) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(http.StatusOK))
}

// ended counts a request.
func (m *metrics) ended(route, method string, code int) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(code)).Inc()
}
