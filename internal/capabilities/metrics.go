package capabilities

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	waiting, aside prometheus.Gauge
	requests       *prometheus.CounterVec
	names          *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		waiting: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_capabilities_pending_definitions",
			Help: "CustomResourceDefinitions whose addition or removal is still to be sent; 0 on members that do not send it.",
		}),
		aside: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_capabilities_refused_definitions",
			Help: "CustomResourceDefinitions that the receiver refuses; they are sent again when they change.",
		}),
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_capabilities_requests_total", Help: "Requests for a scan, by outcome.",
		}, []string{"outcome"}),
		names: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_capabilities_names_total", Help: "Names of CustomResourceDefinitions that were accepted, by change.",
		}, []string{"change"}),
	}
	for _, o := range []kind{failed, accepted, busy, refused} {
		m.requests.WithLabelValues(o.String())
	}
	m.names.WithLabelValues("added")
	m.names.WithLabelValues("removed")
	return m
}

// String is the label of an outcome.
func (k kind) String() string {
	switch k {
	case accepted:
		return "accepted"
	case busy:
		return "busy"
	case refused:
		return "refused"
	default:
		return "failed"
	}
}

func (m *metrics) pending(pending, aside int) {
	m.waiting.Set(float64(pending))
	m.aside.Set(float64(aside))
}

func (m *metrics) landed(b batch, r result) {
	m.requests.WithLabelValues(r.kind.String()).Inc()
	if r.kind == accepted {
		m.names.WithLabelValues("added").Add(float64(len(b.upserts)))
		m.names.WithLabelValues("removed").Add(float64(len(b.deletes)))
	}
}
