package watch

import (
	"github.com/prometheus/client_golang/prometheus"
	apiwatch "k8s.io/apimachinery/pkg/watch"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Causes of restarts, values of the label reason of watch_restarts_total.
const (
	restartStale      = "stale"      // a watch that brought nothing
	restartUnanswered = "unanswered" // a request that was not answered
	restartUnlisted   = "unlisted"   // a streamed list whose end did not come
)

// metrics of all watches of one Manager. Those with a label resource are bounded by the number of types, and
// are removed when the type stops.
type metrics struct {
	types    *prometheus.GaugeVec
	restarts *prometheus.CounterVec
	relists  prometheus.Counter
	errors   *prometheus.CounterVec
	events   *prometheus.CounterVec
	lists    prometheus.Histogram
	failing  *prometheus.GaugeVec
	doubted  prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	const namespace, subsystem = "k8s_vectordb_sync", "watch"
	opts := func(name, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help}
	}
	m := &metrics{
		types: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("types",
			"Wanted resource types by phase of their watch.")), []string{"phase"}),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts(opts("restarts_total",
			"Watches that this process ended because they delivered nothing, by reason.")), []string{"reason"}),
		relists: prometheus.NewCounter(prometheus.CounterOpts(opts("relists_total",
			"Lists made because the index differed from the cluster. The log and the divergences name the resources."))),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts(opts("errors_total",
			"Errors of lists and watches by reason. Expired versions lead to a new list and are no failure.")), []string{"reason"}),
		events: prometheus.NewCounterVec(prometheus.CounterOpts(opts("events_total",
			"Events received from the API server by type of event, including those of streamed lists.")), []string{"event"}),
		lists: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "list_duration_seconds",
			Help:    "Time from the first request of a list to its last object.",
			Buckets: []float64{0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 180},
		}),
		doubted: prometheus.NewCounter(prometheus.CounterOpts(opts("lists_doubted_total",
			"Lists that lacked objects which may still exist; nothing was deleted, and the type was listed again."))),
		failing: prometheus.NewGaugeVec(prometheus.GaugeOpts(opts("failing",
			"1 for each resource that cannot be read, with the reason; absent for all others.")), []string{"resource", "reason"}),
	}
	if reg != nil {
		reg.MustRegister(m.types, m.restarts, m.relists, m.errors, m.events, m.lists, m.failing, m.doubted)
	}
	for _, p := range phases[:Stopped] {
		m.types.WithLabelValues(p)
	}
	for _, r := range []string{restartStale, restartUnanswered, restartUnlisted} {
		m.restarts.WithLabelValues(r)
	}
	for _, r := range reasons {
		m.errors.WithLabelValues(string(r))
	}
	for _, e := range []apiwatch.EventType{apiwatch.Added, apiwatch.Modified, apiwatch.Deleted, apiwatch.Bookmark, apiwatch.Error} {
		m.events.WithLabelValues(string(e))
	}
	return m
}

// entered moves a type from one phase to another.
func (m *metrics) entered(t resource.Type, from, to Phase, reason Reason) {
	m.types.WithLabelValues(from.String()).Dec()
	if to != Stopped {
		m.types.WithLabelValues(to.String()).Inc()
	}
	m.failing.DeletePartialMatch(prometheus.Labels{"resource": t.String()})
	if to == Failing {
		m.failing.WithLabelValues(t.String(), string(reason)).Set(1)
	}
}

// listedDesc describes a gauge whose series are made when a scrape asks for them. Kept series would take 0.5 KB
// for each type.
var listedDesc = prometheus.NewDesc("k8s_vectordb_sync_watch_listed_objects",
	"Objects in the last complete list of a resource, after the namespace filter.", []string{"resource"}, nil)

// listedObjects tells how many objects the last list of each wanted type had.
type listedObjects struct{ m *Manager }

// ValueType is the type of all series.
func (listedObjects) ValueType() prometheus.ValueType { return prometheus.GaugeValue }

// Describe implements [prometheus.Collector].
func (listedObjects) Describe(ch chan<- *prometheus.Desc) { ch <- listedDesc }

// Collect implements [prometheus.Collector].
func (l listedObjects) Collect(ch chan<- prometheus.Metric) {
	for _, s := range l.m.Status() {
		if s.Synced() {
			ch <- prometheus.MustNewConstMetric(listedDesc, prometheus.GaugeValue, float64(s.Listed), s.Type.String())
		}
	}
}
