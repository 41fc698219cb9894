package verify

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

type metrics struct {
	divergences    *divergences
	failures       *failures
	lists, repairs prometheus.Counter
}

// divergenceDesc describes a counter whose series are made when a scrape asks for them. Kept series, three for
// each type and nearly all of them 0, would take 1.7 KB of memory for each type.
var divergenceDesc = prometheus.NewDesc("k8s_vectordb_sync_divergences_total",
	"Times that the index of a resource was found to differ: from a list, a peer, or the list of a resync.",
	[]string{"resource", "source"}, nil)

// sources are all values of the label source.
var sources = [...]Source{FromList, FromPeer, FromResync}

// divergences counts divergences by type and source. Each watched type has a series for each source, so that its
// first divergence is an increase.
type divergences struct {
	watched ages

	mu     sync.Mutex // guards counts
	counts map[resource.Type]*[len(sources)]uint64
}

// count counts one.
func (d *divergences) count(t resource.Type, s Source) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.counts[t] == nil {
		d.counts[t] = new([len(sources)]uint64)
	}
	d.counts[t][slices.Index(sources[:], s)]++
}

// Describe implements [prometheus.Collector].
func (d *divergences) Describe(ch chan<- *prometheus.Desc) { ch <- divergenceDesc }

// Collect implements [prometheus.Collector].
func (d *divergences) Collect(ch chan<- prometheus.Metric) {
	all := make(map[resource.Type][len(sources)]uint64)
	for t := range d.watched() {
		all[t] = [len(sources)]uint64{}
	}
	d.mu.Lock()
	for t, counts := range d.counts {
		all[t] = *counts
	}
	d.mu.Unlock()
	for t, counts := range all {
		for i, s := range sources {
			ch <- prometheus.MustNewConstMetric(divergenceDesc, prometheus.CounterValue, float64(counts[i]), t.String(), string(s))
		}
	}
}

// failureDesc describes a counter whose series are made when a scrape asks for them, as those of divergences.
var failureDesc = prometheus.NewDesc("k8s_vectordb_sync_verification_failures_total",
	"Failed lists for the verification of a resource, which prove nothing.", []string{"resource"}, nil)

// failures counts failed lists by type. Each watched type has a series.
type failures struct {
	watched ages

	mu     sync.Mutex // guards counts
	counts map[resource.Type]uint64
}

// count counts one.
func (f *failures) count(t resource.Type) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[t]++
}

// Describe implements [prometheus.Collector].
func (f *failures) Describe(ch chan<- *prometheus.Desc) { ch <- failureDesc }

// Collect implements [prometheus.Collector].
func (f *failures) Collect(ch chan<- prometheus.Metric) {
	all := make(map[resource.Type]uint64)
	for t := range f.watched() {
		all[t] = 0
	}
	f.mu.Lock()
	maps.Copy(all, f.counts)
	f.mu.Unlock()
	for t, n := range all {
		ch <- prometheus.MustNewConstMetric(failureDesc, prometheus.CounterValue, float64(n), t.String())
	}
}

// ageDesc describes a metric that is computed when a scrape asks for it.
var ageDesc = prometheus.NewDesc("k8s_vectordb_sync_verification_age_seconds",
	"Time since the index of a resource was last compared with a complete list.", []string{"resource"}, nil)

// ages returns how long ago each type was compared with a list.
type ages func() map[resource.Type]time.Duration

// Describe implements [prometheus.Collector].
func (ages) Describe(ch chan<- *prometheus.Desc) { ch <- ageDesc }

// Collect implements [prometheus.Collector].
func (a ages) Collect(ch chan<- prometheus.Metric) {
	for t, age := range a() {
		ch <- prometheus.MustNewConstMetric(ageDesc, prometheus.GaugeValue, age.Seconds(), t.String())
	}
}

func newMetrics(reg prometheus.Registerer, a ages) *metrics {
	const namespace = "k8s_vectordb_sync"
	m := &metrics{
		divergences: &divergences{watched: a, counts: make(map[resource.Type]*[len(sources)]uint64)},
		failures:    &failures{watched: a, counts: make(map[resource.Type]uint64)},
		lists: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "verification_lists_total",
			Help: "Complete lists that were made for a verification.",
		}),
		repairs: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "verification_repairs_total",
			Help: "Resources that were listed anew because their index differed.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.divergences, m.failures, m.lists, m.repairs, a)
	}
	return m
}

// ages returns how long ago each watched type was compared with a list.
func (v *Verifier) ages() map[resource.Type]time.Duration {
	now := time.Now()
	all := make(map[resource.Type]time.Duration)
	for _, w := range v.opts.Watched() {
		all[w.Type] = now.Sub(v.Verified(w))
	}
	return all
}

// Verified returns when a type was last compared with a list. The list of its Reflector counts, too.
func (v *Verifier) Verified(w Watched) time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	if h := v.types[w.Type]; h != nil && h.verified.After(w.Listed) {
		return h.verified
	}
	return w.Listed
}
