package operations

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

type metrics struct {
	started, ended, parts                 *prometheus.CounterVec
	takenOver, objects, writes, conflicts prometheus.Counter
}

// Results of a part, as metrics carry them.
const (
	partDone      = "done"
	partFailed    = "failed"
	partAbandoned = "abandoned"
)

func newMetrics(reg prometheus.Registerer, e *Engine) *metrics {
	f := promauto.With(reg)
	m := &metrics{
		started: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_operations_started_total",
			Help: "Resyncs of the fleet that this replica planned, by trigger. Summed over the replicas, each counts once.",
		}, []string{"trigger"}),
		ended: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_operations_ended_total",
			Help: "Resyncs of the fleet that this replica closed, by result and trigger. Summed over the replicas, each counts once.",
		}, []string{"status", "trigger"}),
		parts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_parts_total",
			Help: "Parts of resyncs that this replica has run, by result. Abandoned parts were finished by another replica, or are begun again.",
		}, []string{"result"}),
		takenOver: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_parts_taken_over_total",
			Help: "Parts of resyncs that this replica began in place of another one.",
		}),
		objects: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_objects_offered_total",
			Help: "Objects of finished parts of resyncs that this replica handed to the receivers.",
		}),
		writes: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_writes_total",
			Help: "Writes of the resyncs' ConfigMap by this replica, conflicts included.",
		}),
		conflicts: f.NewCounter(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_resync_write_conflicts_total",
			Help: "Writes of the resyncs' ConfigMap that were tried again because another replica was faster.",
		}),
	}
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "k8s_vectordb_sync_resync_operations_running",
		Help: "Resyncs of the fleet that are under way, as this replica sees it.",
	}, e.countRunning)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "k8s_vectordb_sync_resync_next_due_timestamp_seconds",
		Help: "When the next full resync of the fleet is due, in seconds since 1970; 0 while one is under way or when none is scheduled.",
	}, e.nextDue)
	for _, t := range []Trigger{Requested, Scheduled, Restored} {
		m.started.WithLabelValues(string(t))
		for _, s := range []Status{Done, Failed} {
			m.ended.WithLabelValues(string(s), string(t))
		}
	}
	for _, r := range []string{partDone, partFailed, partAbandoned} {
		m.parts.WithLabelValues(r)
	}
	return m
}

// triggerLabel returns a label value for a trigger that another member, or a person, has written.
func triggerLabel(t Trigger) string {
	if t == Scheduled || t == Restored {
		return string(t)
	}
	return string(Requested)
}
