package target

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
)

// DescribeMetrics registers this package's metrics, of which each receiver has its own, for the reference of all
// metrics.
func DescribeMetrics(reg prometheus.Registerer) {
	repair.NewMetrics(reg)
	progress.DescribeMetrics(reg)
}
