package pipeline

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// maxNamed is the number of quarantined objects that the metric names; more are only counted. It bounds the
// series.
const maxNamed = 100

// metrics are those of one target; the label target is constant in each of them. It is guarded by Pipeline.mu.
type metrics struct {
	reg        prometheus.Registerer
	collectors []prometheus.Collector
	coalesced  prometheus.Counter
	repeats    prometheus.Counter
	dropped    prometheus.Counter
	latency    prometheus.Histogram
	refused    *prometheus.GaugeVec
	named      map[resource.ID]struct{} // by refused
}

func newMetrics(reg prometheus.Registerer, target string, p *Pipeline) *metrics {
	labels := prometheus.Labels{"target": target}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "k8s_vectordb_sync_" + name, Help: help, ConstLabels: labels})
	}
	m := &metrics{
		reg:   reg,
		named: make(map[resource.ID]struct{}),
		coalesced: counter("coalesced_total",
			"Changes overtaken by a newer one of the same object, or undone, before they were sent."),
		repeats: counter("repeated_total",
			"Last words repeated after a request of unknown outcome."),
		dropped: counter("dropped_total",
			"Changes that had lost their place after a request, by a fault of this program; the log names each, and each is sent again."),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "k8s_vectordb_sync_delivery_latency_seconds", ConstLabels: labels,
			Help:    "Time from when a change was seen to its acknowledgement by the receiver, debounce included.",
			Buckets: []float64{.1, .25, .5, 1, 2.5, 5, 10, 12.5, 15, 20, 30, 60, 120, 300, 900, 3600},
		}),
		refused: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_quarantined_object_info", ConstLabels: labels,
			Help: "1 for each object that the receiver refuses, by name; for the first hundred.",
		}, []string{"id"}),
	}
	m.collectors = []prometheus.Collector{m.coalesced, m.repeats, m.dropped, m.latency, m.refused, newGauges(labels, p)}
	if reg != nil {
		reg.MustRegister(m.collectors...)
	}
	return m
}

// remove takes the metrics out of the registry, because the target is gone.
func (m *metrics) remove() {
	if m.reg == nil {
		return
	}
	for _, c := range m.collectors {
		m.reg.Unregister(c)
	}
}

func (m *metrics) quarantined(id resource.ID) {
	if _, ok := m.named[id]; ok || len(m.named) >= maxNamed {
		return
	}
	m.named[id] = struct{}{}
	m.refused.WithLabelValues(string(id)).Set(1)
}

func (m *metrics) released(id resource.ID) {
	delete(m.named, id)
	m.refused.DeleteLabelValues(string(id))
}

// gauges are read from the pipeline at each scrape.
type gauges struct {
	p                                                                                  *Pipeline
	dirty, oldest, parked, evicted, suspected, quarantined, unsettled, bytes, progress *prometheus.Desc
}

func newGauges(labels prometheus.Labels, p *Pipeline) *gauges {
	desc := func(name, help string, variable ...string) *prometheus.Desc {
		return prometheus.NewDesc("k8s_vectordb_sync_"+name, help, variable, labels)
	}
	return &gauges{
		p:           p,
		dirty:       desc("dirty_objects", "Objects that the receiver may not have in their current state."),
		oldest:      desc("oldest_dirty_age_seconds", "Age of the oldest change that is not acknowledged: the true lag."),
		parked:      desc("parked_objects", "Changed objects that another member sends; this member keeps them until it has."),
		evicted:     desc("evicted_objects", "Dirty objects whose metadata was dropped to save memory and will be read again."),
		suspected:   desc("suspected_objects", "Objects of failed batches while they are tried apart."),
		quarantined: desc("quarantined_objects", "Objects that the receiver refuses, set aside until they change."),
		unsettled:   desc("unsettled_objects", "Objects whose last word will be repeated after a request of unknown outcome."),
		bytes:       desc("dirty_bytes", "Memory taken by the metadata of objects that wait to be sent."),
		progress:    desc("first_sync_objects", "Objects of the first sync, by state: total or done.", "state"),
	}
}

// Describe implements [prometheus.Collector].
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.dirty, g.oldest, g.parked, g.evicted, g.suspected, g.quarantined, g.unsettled, g.bytes, g.progress} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	s := g.p.Stats()
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	send(g.dirty, float64(s.Dirty))
	send(g.oldest, s.OldestDirty.Seconds())
	send(g.parked, float64(s.Parked))
	send(g.evicted, float64(s.Evicted))
	send(g.suspected, float64(s.Suspected))
	send(g.quarantined, float64(s.Quarantined))
	send(g.unsettled, float64(s.Unsettled))
	send(g.bytes, float64(s.BodyBytes))
	send(g.progress, float64(s.First.Total), "total")
	send(g.progress, float64(s.First.Done), "done")
}
