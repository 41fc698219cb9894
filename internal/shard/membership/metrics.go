package membership

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

const namespace = "k8s_vectordb_sync"

type metrics struct {
	gained, lost, fences prometheus.Counter
	writes, retirements  *prometheus.CounterVec
	handoff              prometheus.Histogram
}

// newMetrics registers the metrics of the ring with the labels ring and member. A metric that shows a state is
// read at each scrape, and so disappears with the process.
func newMetrics(reg prometheus.Registerer, m *Membership) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: "ring", Name: name, Help: help})
	}
	vector := func(name, help, label string, values ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: "ring", Name: name, Help: help}, []string{label})
		for _, value := range values {
			v.WithLabelValues(value)
		}
		return v
	}
	x := &metrics{
		gained:      counter("partitions_gained_total", "Partitions that this member began to send for."),
		lost:        counter("partitions_lost_total", "Partitions that this member stopped sending for."),
		fences:      counter("fence_events_total", "Times that this member stopped sending because it had not renewed its Lease in time."),
		writes:      vector("lease_writes_total", "Writes of this member's own Lease by outcome.", "outcome", "succeeded", "conflicted", "failed"),
		retirements: vector("lease_retirements_total", "Leases of other members that this one marked dead, collected, or dropped the claim of.", "action", "mark dead", "drop claim", "collect"),
		handoff: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Subsystem: "ring", Name: "handoff_duration_seconds",
			Help:    "Time from a change of members until this member may send for everything that the change gives it.",
			Buckets: []float64{.05, .1, .25, .5, .75, 1, 2.5, 5, 10, 20, 40},
		}),
	}
	if reg == nil {
		return x
	}
	labelled := prometheus.WrapRegistererWith(prometheus.Labels{"ring": m.opts.RingName, "member": m.opts.PodName}, reg)
	labelled.MustRegister(x.gained, x.lost, x.fences, x.writes, x.retirements, x.handoff)
	gauge := func(name, help string, value func(ownership.Status) float64) {
		labelled.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Subsystem: "ring", Name: name, Help: help},
			func() float64 { return value(m.View().Status) }))
	}
	gauge("members", "Members that this member counts as live.", func(s ownership.Status) float64 { return count(s, false) })
	gauge("partitions", "Partitions of the ring.", func(s ownership.Status) float64 { return float64(s.Partitions) })
	gauge("partitions_owned", "Partitions that this member may send for.", func(s ownership.Status) float64 { return float64(s.Owned) })
	gauge("objects_owned", "Objects of the cluster that this member may send for: its shard.", func(ownership.Status) float64 {
		if m.opts.Objects == nil {
			return 0
		}
		return float64(m.opts.Objects())
	})
	gauge("partitions_orphaned", "Partitions that no live member claims.", func(s ownership.Status) float64 { return float64(s.Orphans) })
	gauge("parts_taken", "Parts of resyncs whose only sender this member is, or is about to be.", func(s ownership.Status) float64 { return float64(len(s.Takes)) })
	gauge("members_apart", "Live members that form no ring with this one, because they have another payload, receiver or version.",
		func(s ownership.Status) float64 { return count(s, true) })
	gauge("claims_conflicting", "Partitions of this member that another one claims, too.", func(s ownership.Status) float64 { return float64(s.Conflicts) })
	gauge("fenced", "1 while this member may send nothing because it has not renewed its Lease.", func(s ownership.Status) float64 { return truth(s.Fenced) })
	gauge("view_disagreement_seconds", "How long members have had different views, or partitions have had no claimant; 0 when all agree.",
		func(s ownership.Status) float64 { return s.Disagreeing.Seconds() })
	return x
}

// count returns how many members are live: those that are apart, or all.
func count(s ownership.Status, apart bool) float64 {
	n := 0
	for _, member := range s.Members {
		if member.Phase != ownership.Gone && (member.Stranger || !apart) {
			n++
		}
	}
	return float64(n)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
