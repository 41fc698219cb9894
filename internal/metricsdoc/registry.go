package metricsdoc

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Family is a metric with all its series.
type Family struct {
	// Name, Help and Labels are as registered, constant labels first.
	Name, Help string
	Labels     []string
	// Type is counter, gauge, histogram or summary.
	Type string
	// Package is the last element of the path of the package that registered it, such as delivery.
	Package string
}

// Registry is a [prometheus.Registerer] that remembers every collector, also after it was unregistered. It refuses
// the collectors that a Prometheus registry refuses. Make it with [NewRegistry].
type Registry struct {
	registry *prometheus.Registry
	entries  []entry
	problems []error
}

var _ prometheus.Registerer = (*Registry)(nil)

// entry is one registered collector.
type entry struct {
	collector prometheus.Collector
	pkg       string
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{registry: prometheus.NewRegistry()} }

// Register implements [prometheus.Registerer].
func (r *Registry) Register(c prometheus.Collector) error {
	if err := r.registry.Register(c); err != nil {
		return err // Callers look at its type, as with any registry.
	}
	r.entries = append(r.entries, entry{collector: c, pkg: registrant()})
	return nil
}

// MustRegister implements [prometheus.Registerer]. It does not panic: a refusal is an error of [Registry.Families].
func (r *Registry) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			r.problems = append(r.problems, err)
		}
	}
}

// Unregister implements [prometheus.Registerer].
func (r *Registry) Unregister(c prometheus.Collector) bool { return r.registry.Unregister(c) }

// Families returns every metric that was ever registered, ordered by name, each name once. It fails for metrics
// that cannot be described, and names all of them.
func (r *Registry) Families() ([]Family, error) {
	problems := slices.Clone(r.problems)
	byName := make(map[string]Family)
	for _, e := range r.entries {
		fs, err := e.families()
		if err != nil {
			problems = append(problems, err)
		}
		for _, f := range fs {
			if old, ok := byName[f.Name]; ok && (old.Help != f.Help || old.Type != f.Type || !slices.Equal(old.Labels, f.Labels)) {
				problems = append(problems, fmt.Errorf("%s is registered with two meanings: %+v and %+v", f.Name, old, f))
			}
			byName[f.Name] = f
		}
	}
	all := make([]Family, 0, len(byName))
	for _, f := range byName {
		all = append(all, f)
	}
	slices.SortFunc(all, func(a, b Family) int { return cmp.Compare(a.Name, b.Name) })
	return all, errors.Join(problems...)
}

// families describes one collector.
func (e entry) families() ([]Family, error) {
	known := vectorType(e.collector)
	var types map[string]string // by String of the description; a custom collector may have several
	if known == "" {
		types = sampledTypes(e.collector)
	}
	var fs []Family
	var problems []error
	for _, d := range drain(e.collector.Describe) {
		parsed, err := parseDesc(d)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		typ := cmp.Or(known, types[d.String()])
		if typ == "" {
			problems = append(problems, fmt.Errorf("the type of %s cannot be told: it is no vector and yields no sample; register it without a wrapper and with a sample", parsed.name))
			continue
		}
		fs = append(fs, Family{Name: parsed.name, Help: parsed.help, Labels: parsed.labels, Type: typ, Package: e.pkg})
	}
	return fs, errors.Join(problems...)
}

// valued is a custom collector that may have no series yet, and says of which type all of them are.
type valued interface{ ValueType() prometheus.ValueType }

// vectorType returns the type of a vector, or of a [valued], which may have no series yet; empty for all others.
func vectorType(c prometheus.Collector) string {
	if v, ok := c.(valued); ok {
		return strings.ToLower(v.ValueType().ToDTO().String())
	}
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.GaugeVec:
		return "gauge"
	case *prometheus.HistogramVec:
		return "histogram"
	case *prometheus.SummaryVec:
		return "summary"
	}
	return ""
}

// sampledTypes returns the types of a collector's metrics from its samples.
func sampledTypes(c prometheus.Collector) map[string]string {
	types := make(map[string]string)
	for _, m := range drain(c.Collect) {
		var sample dto.Metric
		if err := m.Write(&sample); err != nil {
			continue // without a type it becomes a problem later
		}
		var typ string
		switch {
		case sample.Counter != nil:
			typ = "counter"
		case sample.Gauge != nil:
			typ = "gauge"
		case sample.Histogram != nil:
			typ = "histogram"
		case sample.Summary != nil:
			typ = "summary"
		}
		types[m.Desc().String()] = typ
	}
	return types
}

// drain returns all values that a function sends.
func drain[T any](send func(chan<- T)) []T {
	ch := make(chan T)
	go func() { defer close(ch); send(ch) }() // ends with send, and is waited for by the loop
	var all []T
	for v := range ch {
		all = append(all, v)
	}
	return all
}

// registrant returns the package that called into the registry: the innermost one that is neither this one nor of the
// Prometheus library.
func registrant() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for {
		f, more := frames.Next()
		pkg := packageOf(f.Function)
		if pkg != packageOf(self) && !strings.HasPrefix(pkg, "github.com/prometheus/") {
			return pkg[strings.LastIndex(pkg, "/")+1:]
		}
		if !more {
			return ""
		}
	}
}

// self is a function of this package as the runtime names it.
var self = func() string {
	pc, _, _, _ := runtime.Caller(0)
	return runtime.FuncForPC(pc).Name()
}()

// packageOf returns the import path in the name of a function such as example.com/a/b.(*T).F.
func packageOf(function string) string {
	slash := strings.LastIndex(function, "/") + 1
	dot := strings.Index(function[slash:], ".")
	if dot < 0 {
		return function
	}
	return function[:slash+dot]
}
