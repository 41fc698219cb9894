package repair

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Result is the result of asking a receiver for its documents.
type Result string

// These are the results; part means that the receiver may hold more than it lists.
const (
	Whole  Result = "whole"
	Part   Result = "part"
	Failed Result = "failed"
)

// Metrics describe the search for deletions that no member saw, of one receiver. They are safe for concurrent
// use.
type Metrics struct {
	found, lists  *prometheus.CounterVec
	unknown, held prometheus.Gauge

	mu    sync.Mutex        // guards parts
	parts map[string][2]int // types and documents
}

// NewMetrics registers the metrics. A nil registerer is allowed.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	f := promauto.With(reg)
	m := &Metrics{
		parts: make(map[string][2]int),
		found: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_missed_deletions_found_total",
			Help: "Objects that were deleted while no replica watched, by the source that revealed it: the API " +
				"server's memory of changes (history), its earlier state (exact), the inventory, or the receiver's own list.",
		}, []string{"source"}),
		lists: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_receiver_lists_total",
			Help: "Types whose documents the receiver was asked to list, by result; part means that it may hold more than it lists.",
		}, []string{"result"}),
		unknown: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_unknown_deletions_types",
			Help: "Resource types whose deletions may have been missed while no replica watched: neither the API " +
				"server nor the inventory could tell, nor has the receiver's own list yet, or too many objects are missing.",
		}),
		held: f.NewGauge(prometheus.GaugeOpts{
			Name: "k8s_vectordb_sync_held_deletions",
			Help: "Objects that the inventory or the receiver knows and the cluster lacks; their documents stay, " +
				"because there are too many to delete without a person's consent.",
		}),
	}
	for _, source := range []Source{History, Exact, Inventory, Receiver} {
		m.Found(source, 0)
	}
	for _, result := range []Result{Whole, Part, Failed} {
		m.lists.WithLabelValues(string(result))
	}
	return m
}

// Found counts objects whose deletion a source revealed.
func (m *Metrics) Found(source Source, n int) {
	m.found.WithLabelValues(string(source)).Add(float64(n))
}

// Listed counts a list of the receiver.
func (m *Metrics) Listed(result Result) { m.lists.WithLabelValues(string(result)).Inc() }

// Unsolved sets, for one finder, the number of types that are unknown or have a held repair, and the number of
// held documents.
func (m *Metrics) Unsolved(who string, types, documents int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.parts[who] = [2]int{types, documents}
	sum := [2]int{}
	for _, n := range m.parts {
		sum[0], sum[1] = sum[0]+n[0], sum[1]+n[1]
	}
	m.unknown.Set(float64(sum[0]))
	m.held.Set(float64(sum[1]))
}
