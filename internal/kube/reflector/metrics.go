package reflector

import "github.com/prometheus/client_golang/prometheus"

// The streams of the process, values of the label stream.
const (
	Objects             = "objects"
	Definitions         = "definitions"
	Leases              = "leases"
	Checkpoints         = "checkpoints"
	Operations          = "operations"
	Sums                = "sums"
	Secrets             = "secrets"
	ResourceSyncConfigs = "resourcesyncconfigs"
)

// Metrics counts the restarts of the streams of the whole process. A nil Metrics counts nothing.
type Metrics struct {
	silent   *prometheus.CounterVec
	givenUp  *prometheus.CounterVec
	restores *prometheus.CounterVec
}

// NewMetrics returns Metrics that are registered with reg; a nil reg registers none.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "k8s_vectordb_sync", Subsystem: "streams", Name: name, Help: help,
		}, []string{"stream"})
	}
	m := &Metrics{
		silent: counter("silent_total", "Watches that were begun again because nothing came, not even a bookmark, by stream."),
		givenUp: counter("lists_given_up_total",
			"Streamed lists that did not end in time and were replaced by a paged list, by stream."),
		restores: counter("restores_total",
			"Times that versions had begun anew, as after a restore of etcd, and everything was listed again, by stream."),
	}
	if reg != nil {
		reg.MustRegister(m.silent, m.givenUp, m.restores)
	}
	for _, s := range []string{Objects, Definitions, Leases, Checkpoints, Operations, Sums, Secrets, ResourceSyncConfigs} {
		for _, c := range []*prometheus.CounterVec{m.silent, m.givenUp, m.restores} {
			c.WithLabelValues(s)
		}
	}
	return m
}

// Silent counts a watch that was begun again after [Silence].
func (m *Metrics) Silent(stream string) {
	if m != nil {
		m.silent.WithLabelValues(stream).Inc()
	}
}

// GivenUp counts a streamed list that was not over in time.
func (m *Metrics) GivenUp(stream string) {
	if m != nil {
		m.givenUp.WithLabelValues(stream).Inc()
	}
}

// Restored counts a stream whose versions have begun anew.
func (m *Metrics) Restored(stream string) {
	if m != nil {
		m.restores.WithLabelValues(stream).Inc()
	}
}
