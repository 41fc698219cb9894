package inventory

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	bytes, objects, carried, current prometheus.Gauge
	errors                           prometheus.Counter
	seconds                          prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) *metrics {
	f := promauto.With(reg)
	return &metrics{
		bytes: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_inventory_bytes", Help: "Size of the inventory file, 0 before it was written by this process.",
		}),
		objects: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_inventory_objects", Help: "Objects in the inventory file, 0 before it was written by this process.",
		}),
		carried: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_inventory_unsettled_types",
			Help: "Resource types of the earlier inventory whose deletions were not yet searched, or wait for a person.",
		}),
		current: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_inventory_timestamp_seconds",
			Help: "When the inventory file was last known to be up to date, as Unix time, 0 before it ever was.",
		}),
		errors: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_inventory_write_errors_total", Help: "Times that the inventory could not be written.",
		}),
		seconds: f.NewHistogram(prometheus.HistogramOpts{
			Name: "k8s_vectordb_sync_inventory_write_duration_seconds", Help: "How long it took to write the inventory.",
			Buckets: []float64{0.01, 0.05, 0.2, 1, 5, 20},
		}),
	}
}

func (m *metrics) wrote(w Written, took time.Duration) {
	m.bytes.Set(float64(w.Bytes))
	m.objects.Set(float64(w.Objects))
	m.seconds.Observe(took.Seconds())
}

func (m *metrics) upToDate(now time.Time) { m.current.Set(float64(now.Unix())) }
