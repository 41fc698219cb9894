package discovery

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics of discovery. The only label is the outcome.
type metrics struct {
	types    prometheus.Gauge
	missing  prometheus.Gauge
	failed   prometheus.Gauge
	unknown  prometheus.Gauge
	runs     *prometheus.CounterVec
	complete prometheus.Gauge
	duration prometheus.Histogram
}

// outcomes of a discovery, values of the label outcome of discovery_runs_total.
const (
	outcomeComplete = "complete"
	outcomePartial  = "partial"
	outcomeFailed   = "failed"
)

func newMetrics(reg prometheus.Registerer) *metrics {
	const namespace, subsystem = "k8s_vectordb_sync", "discovery"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help})
	}
	m := &metrics{
		types:    gauge("types", "Resource types to watch."),
		missing:  gauge("missing_types", "Resource types that the last discovery lacked; they are kept, because nothing proves that they are gone."),
		failed:   gauge("failed_groups", "API group versions that cannot be discovered."),
		unknown:  gauge("unknown_patterns", "Patterns of the resource filter that name no served type."),
		complete: gauge("last_complete_timestamp_seconds", "When every group last answered, as Unix time; 0 for never."),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "runs_total",
			Help: "Discoveries by outcome: complete, partial (some groups failed) or failed."}, []string{"outcome"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: namespace, Subsystem: subsystem, Name: "duration_seconds",
			Help: "Duration of a discovery.", Buckets: []float64{0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30}}),
	}
	if reg != nil {
		reg.MustRegister(m.types, m.missing, m.failed, m.unknown, m.complete, m.runs, m.duration)
	}
	for _, o := range []string{outcomeComplete, outcomePartial, outcomeFailed} {
		m.runs.WithLabelValues(o)
	}
	return m
}
