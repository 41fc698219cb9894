package index

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

type metrics struct {
	unchanged, outdated, rewinds prometheus.Counter
}

// New returns an empty index. A nil registerer switches its metrics off.
func New(reg prometheus.Registerer) *Index {
	x := &Index{metrics: newMetrics(reg), types: make(map[resource.Type]*objects)}
	if reg != nil {
		reg.MustRegister(known{x})
	}
	return x
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		unchanged: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_unchanged_total",
			Help: "Updates that changed nothing a receiver stores (status, managedFields, relists) and ended in the index.",
		}),
		outdated: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_outdated_total",
			Help: "Events ignored because the index held a newer version.",
		}),
		rewinds: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_rewinds_total",
			Help: "Lists which show that resourceVersions went back: the API server's etcd was restored from a backup, " +
				"or an aggregated API began anew.",
		}),
	}
}

// knownDesc describes a gauge whose series are made when a scrape asks for them. Kept series would take 0.5 KB
// for each type.
var knownDesc = prometheus.NewDesc("k8s_vectordb_sync_objects", "Objects in the index, by resource type.", []string{"resource"}, nil)

// known tells how many objects of each type an index has.
type known struct{ x *Index }

// ValueType is the type of all series.
func (known) ValueType() prometheus.ValueType { return prometheus.GaugeValue }

// Describe implements [prometheus.Collector].
func (known) Describe(ch chan<- *prometheus.Desc) { ch <- knownDesc }

// Collect implements [prometheus.Collector].
func (k known) Collect(ch chan<- prometheus.Metric) {
	for _, t := range k.x.Types() {
		ch <- prometheus.MustNewConstMetric(knownDesc, prometheus.GaugeValue, float64(k.x.Type(t).Objects), t.String())
	}
}
