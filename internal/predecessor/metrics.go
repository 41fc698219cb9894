package predecessor

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	deployments prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	return &metrics{deployments: promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "k8s_vectordb_sync_predecessor_deployments",
		Help: "Deployments of k8s-vectordb-sync 0.1, or of dot-ai-controller where ResourceSyncConfigs are read: two writers race.",
	})}
}
