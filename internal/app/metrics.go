package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
)

// newCheckpointTime returns the gauge of when a checkpoint was last as it should be, which is now.
func newCheckpointTime(reg prometheus.Registerer) prometheus.Gauge {
	g := promauto.With(reg).NewGauge(prometheus.GaugeOpts{
		Name: "k8s_vectordb_sync_checkpoint_timestamp_seconds",
		Help: "When this replica last wrote how far the receiver is in step, or had nothing new to write, as Unix time; at first the time of the start.",
	})
	g.SetToCurrentTime()
	return g
}

// DescribeMetrics registers this package's metrics, which there are once for each receiver, for the reference of all
// metrics.
func DescribeMetrics(reg prometheus.Registerer) {
	repair.NewMetrics(reg)
	newCheckpointTime(reg)
}
