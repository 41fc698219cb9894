package delivery

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
)

// metrics are one target's series. Several clients share the collectors of one registerer.
type metrics struct {
	target   string
	attempts *prometheus.CounterVec
	duration *prometheus.HistogramVec
	objects  *prometheus.HistogramVec
	bytes    *prometheus.HistogramVec
	inFlight *prometheus.GaugeVec
	open     *prometheus.GaugeVec
	limit    *prometheus.GaugeVec
	maxBytes *prometheus.GaugeVec
}

const (
	upsertOperation = "upsert"
	deleteOperation = "delete"
)

// newMetrics makes the series of target, all at zero. A nil reg registers nothing.
func newMetrics(reg prometheus.Registerer, target string) (*metrics, error) {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "k8s_vectordb_sync_delivery_" + name, Help: help}, []string{"target"})
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "k8s_vectordb_sync_delivery_" + name, Help: help, Buckets: buckets,
		}, append([]string{"target"}, labels...))
	}
	m := &metrics{
		target: target,
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "k8s_vectordb_sync_delivery_attempts_total",
			Help: "Requests to the receiver, including probes, by outcome.",
		}, []string{"target", "outcome"}),
		duration: histogram("duration_seconds", "Time from encoding a request to the end of its answer, except for fenced requests.",
			[]float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 40, 60, 90, 120}),
		objects: histogram("batch_objects", "Objects in a request.",
			[]float64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000}, "operation"),
		bytes: histogram("payload_bytes", "Length of a request's body.",
			prometheus.ExponentialBuckets(256, 4, 8)),
		inFlight: gauge("in_flight_requests", "Requests begun and not yet ended."),
		open:     gauge("breaker_open", "1 while the receiver is in trouble, and upserts, deletions or both are tried one at a time."),
		limit:    gauge("in_flight_limit", "Requests that may be in flight while the breaker is closed."),
		maxBytes: gauge("payload_limit_bytes", "Maximum length of a request's body."),
	}
	if err := m.register(reg); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	for _, k := range wire.Kinds() {
		m.attempts.WithLabelValues(target, k.String())
	}
	m.duration.WithLabelValues(target)
	m.objects.WithLabelValues(target, upsertOperation)
	m.objects.WithLabelValues(target, deleteOperation)
	m.bytes.WithLabelValues(target)
	for _, g := range []*prometheus.GaugeVec{m.inFlight, m.open, m.limit, m.maxBytes} {
		g.WithLabelValues(target).Set(0)
	}
	return m, nil
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	return errors.Join(
		share(reg, &m.attempts), share(reg, &m.duration), share(reg, &m.objects), share(reg, &m.bytes),
		share(reg, &m.inFlight), share(reg, &m.open), share(reg, &m.limit), share(reg, &m.maxBytes),
	)
}

// share registers a collector, or takes the collector that the client of another target has registered.
func share[C prometheus.Collector](reg prometheus.Registerer, c *C) error {
	err := reg.Register(*c)
	var there prometheus.AlreadyRegisteredError
	if !errors.As(err, &there) {
		return err
	}
	shared, ok := there.ExistingCollector.(C)
	if !ok {
		return err
	}
	*c = shared
	return nil
}

// sent counts one request that has ended.
func (m *metrics) sent(upserts, deletes int, o wire.Outcome) {
	m.attempts.WithLabelValues(m.target, o.Kind.String()).Inc()
	if o.Kind == wire.Fenced {
		return
	}
	m.duration.WithLabelValues(m.target).Observe(o.Took.Seconds())
	m.bytes.WithLabelValues(m.target).Observe(float64(o.Bytes))
	if upserts > 0 {
		m.objects.WithLabelValues(m.target, upsertOperation).Observe(float64(upserts))
	}
	if deletes > 0 {
		m.objects.WithLabelValues(m.target, deleteOperation).Observe(float64(deletes))
	}
}

func (m *metrics) breaker(s State) {
	open := 0.0
	if s.Open {
		open = 1
	}
	m.open.WithLabelValues(m.target).Set(open)
	m.limit.WithLabelValues(m.target).Set(float64(s.Limit))
	m.maxBytes.WithLabelValues(m.target).Set(float64(s.MaxBytes))
}

// remove drops the target's series.
func (m *metrics) remove() {
	mine := prometheus.Labels{"target": m.target}
	m.attempts.DeletePartialMatch(mine)
	m.duration.DeletePartialMatch(mine)
	m.objects.DeletePartialMatch(mine)
	m.bytes.DeletePartialMatch(mine)
	for _, g := range []*prometheus.GaugeVec{m.inFlight, m.open, m.limit, m.maxBytes} {
		g.DeletePartialMatch(mine)
	}
}
