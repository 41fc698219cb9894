package resync

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	running        prometheus.Gauge
	types, objects prometheus.Counter
	ended          *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		running: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_resyncs_running", Help: "Resyncs under way.",
		}),
		types: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_types_total", Help: "Resource types that resyncs have been through.",
		}),
		objects: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_objects_total", Help: "Objects that resyncs have read from the API server.",
		}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resyncs_total", Help: "Resyncs that have ended, by how.",
		}, []string{"status"}),
	}
	for _, s := range []Status{Done, Failed} {
		m.ended.WithLabelValues(string(s))
	}
	return m
}

func (m *metrics) done(s Status) { m.ended.WithLabelValues(string(s)).Inc() }
