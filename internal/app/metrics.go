package app

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// searchMetrics tell of the search for deletions that nobody saw, by receiver.
type searchMetrics struct {
	found         *prometheus.CounterVec
	unknown, held prometheus.Gauge
}

func newSearchMetrics(reg prometheus.Registerer) *searchMetrics {
	f := promauto.With(reg)
	m := &searchMetrics{
		found: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_missed_deletions_found_total",
			Help: "Objects that were deleted while nobody watched and were found to be gone, by what told of them: the API server's history (exact) or the inventory.",
		}, []string{"source"}),
		unknown: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_unknown_deletions_types",
			Help: "Resource types of which deletions may have been missed while nobody watched: neither the API server nor the inventory could tell, or too many are missing.",
		}),
		held: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_held_deletions",
			Help: "Objects that the inventory knows and the cluster lacks, whose documents stay because they are more than may be deleted without a person's word.",
		}),
	}
	m.found.WithLabelValues("exact")
	m.found.WithLabelValues("inventory")
	return m
}

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
	newSearchMetrics(reg)
	newCheckpointTime(reg)
}
