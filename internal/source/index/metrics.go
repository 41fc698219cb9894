package index

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

type metrics struct {
	objects                      *prometheus.GaugeVec
	unchanged, outdated, rewinds prometheus.Counter
}

// New returns an empty index. A nil registerer switches its metrics off.
func New(reg prometheus.Registerer) *Index {
	return &Index{metrics: newMetrics(reg), types: make(map[resource.Type]*objects)}
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		objects: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_objects",
			Help: "Objects known, by resource type.",
		}, []string{"resource"}),
		unchanged: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_unchanged_total",
			Help: "Updates that changed nothing a receiver stores (status, managedFields, relists) and ended in the index.",
		}),
		outdated: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_outdated_total",
			Help: "Events older than what was already known, left out.",
		}),
		rewinds: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_rewinds_total",
			Help: "Lists that show that resourceVersions went back: the API server's etcd was restored from a backup, or an aggregated API begins anew.",
		}),
	}
}

func (m *metrics) known(t resource.Type, n int) {
	m.objects.WithLabelValues(t.String()).Set(float64(n))
}

func (m *metrics) forget(t resource.Type) { m.objects.DeleteLabelValues(t.String()) }
