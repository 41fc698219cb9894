package app

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// searchMetrics tell of the search for deletions that nobody saw, by receiver.
type searchMetrics struct {
	found         *prometheus.CounterVec
	lists         *prometheus.CounterVec
	unknown, held *summed
}

// summed is a gauge of what several say together.
type summed struct {
	gauge prometheus.Gauge

	mu    sync.Mutex // guards parts
	parts map[string]int
}

// set takes what one of them says.
func (s *summed) set(part string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[part] = n
	sum := 0
	for _, n := range s.parts {
		sum += n
	}
	s.gauge.Set(float64(sum))
}

// Results of asking a receiver what it holds, as metrics carry them.
const (
	listWhole  = "whole"
	listPart   = "part"
	listFailed = "failed"
)

func newSearchMetrics(reg prometheus.Registerer) *searchMetrics {
	f := promauto.With(reg)
	m := &searchMetrics{
		found: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_missed_deletions_found_total",
			Help: "Objects that were deleted while nobody watched and were found to be gone, by what told of them: the API server's memory of changes (history), what it held before (exact), the inventory, or the receiver's own list.",
		}, []string{"source"}),
		lists: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_receiver_lists_total",
			Help: "Types of which the receiver was asked what it holds, by result; part means that it may hold more than it lists.",
		}, []string{"result"}),
		unknown: &summed{parts: make(map[string]int), gauge: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_unknown_deletions_types",
			Help: "Resource types of which deletions may have been missed while nobody watched: neither the API server nor the inventory could tell, nor has the receiver's own list yet, or too many are missing.",
		})},
		held: &summed{parts: make(map[string]int), gauge: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_held_deletions",
			Help: "Objects that the inventory or the receiver knows and the cluster lacks, whose documents stay because they are more than may be deleted without a person's word.",
		})},
	}
	for _, source := range []string{fromHistory, fromExact, fromInventory, fromReceiver} {
		m.found.WithLabelValues(source)
	}
	for _, result := range []string{listWhole, listPart, listFailed} {
		m.lists.WithLabelValues(result)
	}
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
