package target

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// registered adds the label of a target to metrics, and removes them when the target is gone. Without a
// registerer it does nothing.
type registered struct {
	reg prometheus.Registerer // nil: none

	mu  sync.Mutex // guards the list
	all []prometheus.Collector
}

var _ prometheus.Registerer = (*registered)(nil)

func newRegistered(reg prometheus.Registerer, target string) *registered {
	if reg == nil {
		return &registered{}
	}
	return &registered{reg: prometheus.WrapRegistererWith(prometheus.Labels{"target": target}, reg)}
}

// Register implements [prometheus.Registerer].
func (r *registered) Register(c prometheus.Collector) error {
	if r.reg == nil {
		return nil
	}
	if err := r.reg.Register(c); err != nil {
		return err // The error is the registry's own.
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, c)
	return nil
}

// MustRegister implements [prometheus.Registerer]. It panics on a metric that exists already, as its contract
// requires.
func (r *registered) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err) //nolint:forbidigo // The caller wants it.
		}
	}
}

// Unregister implements [prometheus.Registerer].
func (r *registered) Unregister(c prometheus.Collector) bool {
	return r.reg != nil && r.reg.Unregister(c)
}

// remove unregisters all metrics.
func (r *registered) remove() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.all {
		r.Unregister(c)
	}
	r.all = nil
}
