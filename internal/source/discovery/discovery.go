package discovery

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	clientdiscovery "k8s.io/client-go/discovery"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Filter decides which types are wanted. [resource.Filter] is one.
type Filter interface {
	// Match tells whether the type is wanted.
	Match(t resource.Type) bool
	// Unknown returns the patterns that name none of the served types.
	Unknown(served []resource.Type) []string
}

// Change is what discovery has found, compared with what was last told. The receiver owns it.
type Change struct {
	// Types is the whole set of types to be watched, sorted. It contains those that are missing without evidence.
	Types []resource.Type
	// Removed are types that are gone for good: no longer in Types, and their objects with them.
	Removed []resource.Type
	// Migrated are types whose objects are served under another version or group from now on. New is in Types, Old is
	// not: what New brings is to be upserted before what Old has left is deleted.
	Migrated []Migration
	// Failed has the groups that could not be discovered, by group/version as Kubernetes spells it ("v1" for the core
	// group), or under "*" the error of the whole discovery.
	Failed map[string]error
	// Unknown has the patterns of the filter that name nothing that is served. Nil while discovery is incomplete.
	Unknown []string
	// Complete says that every group answered.
	Complete bool
}

// Migration is one type taking the place of another.
type Migration struct {
	Old, New resource.Type
}

// Options of a [Discovery]. The zero value is usable: every type is wanted.
type Options struct {
	// Filter decides which types are wanted; nil wants all.
	Filter Filter
	// Known are types that an earlier life of this process watched. They are taken for served until there is evidence
	// against it, so that what was removed meanwhile is found out and comes in Removed. Those that Filter does not
	// match are ignored.
	Known []resource.Type
	// Interval is the time between two discoveries when nothing happens; 60 s when it is not positive.
	Interval time.Duration
	// RetryInterval is the time between two discoveries while groups fail; 10 s when it is not positive.
	RetryInterval time.Duration
	// Debounce is how long discovery waits after a change of a definition for more of them; 200 ms when it is not
	// positive. Installing an operator creates dozens.
	Debounce time.Duration
	// Timeout bounds one discovery; 30 s when it is not positive.
	Timeout time.Duration
	// Doubt is how long complete discoveries must have lacked a type, without other evidence, until it is removed; 60 s
	// when it is not positive.
	Doubt time.Duration
	// MayRead asks whether definitions may be listed and watched, before the first time and after each list
	// that was refused; nil asks nobody, and has a list tried again.
	MayRead func(ctx context.Context, t resource.Type) (bool, error)
	// Streams count what becomes of the watches of definitions; nil counts nothing.
	Streams *reflector.Metrics
	// OnDefinition is called when a CustomResourceDefinition has come, changed or gone; it must not block.
	// Nil is told nothing.
	OnDefinition func()
	// Log is told about edges.
	Log logr.Logger
	// Registerer takes the metrics; nil registers none.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		value *time.Duration
		or    time.Duration
	}{
		{&o.Interval, 60 * time.Second},
		{&o.RetryInterval, 10 * time.Second},
		{&o.Debounce, 200 * time.Millisecond},
		{&o.Timeout, 30 * time.Second},
		{&o.Doubt, 60 * time.Second},
	} {
		if *d.value <= 0 {
			*d.value = d.or
		}
	}
	return o
}

// Status is what is known at one moment. It is a copy.
type Status struct {
	// Types is the set that was last told.
	Types []resource.Type
	// Missing are those of Types that the last discovery lacked, kept for want of evidence.
	Missing []resource.Type
	// Failed are the groups that cannot be discovered.
	Failed []FailedGroup
	// Unknown are the patterns of the filter that name nothing that is served.
	Unknown []string
	// ShortNames are those that the server has told, for [resource.Filter.WithShortNames]. They must not be changed.
	ShortNames map[string][]string
	// LastComplete is when a discovery was last complete; zero when none was.
	LastComplete time.Time
	// LastAttempt is when a discovery last ended, in whatever way.
	LastAttempt time.Time
	// Watching tells whether definitions are watched, so that changes are noticed within seconds.
	Watching bool
}

// FailedGroup is one group and version that cannot be discovered.
type FailedGroup struct {
	// GroupVersion is group/version, "v1" for the core group, "*" for everything.
	GroupVersion string
	// Err is the last error.
	Err error
	// Since is when it began to fail.
	Since time.Time
}

// Discovery finds out which types there are. Make one with [New].
type Discovery struct {
	disco   clientdiscovery.DiscoveryInterfaceWithContext
	client  metadata.Interface
	opts    Options
	metrics *metrics

	mu     sync.Mutex // guards what follows
	status Status
	loop   *loop // while Run runs, once it watches definitions
}

// New returns a Discovery that asks disco, and watches the names of definitions with client. A nil client watches none.
func New(disco clientdiscovery.DiscoveryInterface, client metadata.Interface, opts Options) *Discovery {
	opts = opts.withDefaults()
	return &Discovery{
		disco:   clientdiscovery.ToDiscoveryInterfaceWithContext(disco),
		client:  client,
		opts:    opts,
		metrics: newMetrics(opts.Registerer),
	}
}

// Status returns what is known.
func (d *Discovery) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.status
	s.Types = append([]resource.Type(nil), s.Types...)
	s.Missing = append([]resource.Type(nil), s.Missing...)
	s.Failed = append([]FailedGroup(nil), s.Failed...)
	s.Unknown = append([]string(nil), s.Unknown...)
	return s
}

// Aggregated tells whether a type is served by an API of its own, and not by the API server itself. Where
// APIServices may not be watched, whatever is neither a group of Kubernetes nor defined by a
// CustomResourceDefinition is taken for one.
func (d *Discovery) Aggregated(t resource.Type) bool {
	d.mu.Lock()
	l := d.loop
	d.mu.Unlock()
	if l == nil || l.services == nil || !strings.Contains(t.Group, ".") {
		return false
	}
	if service, known := l.services.get(serviceName(t)); known {
		return !service.local
	}
	_, defined := l.crds.get(crdName(t))
	return !l.services.isWatching() && !defined && !strings.HasSuffix(t.Group, ".k8s.io")
}

// Definitions returns the CustomResourceDefinitions that there are, each with its generation, and whether
// they are watched and have been listed. What types are wanted does not matter.
func (d *Discovery) Definitions() (generations map[string]int64, complete bool) {
	d.mu.Lock()
	l := d.loop
	d.mu.Unlock()
	if l == nil || !l.crds.isWatching() {
		return nil, false
	}
	return l.crds.generations(), true
}

// Run discovers until ctx is done and returns nil then, after everything it started has ended. It calls apply, from one
// goroutine, after the first discovery and then whenever something differs from what was last told; while apply runs
// no discovery is made.
//
// A first discovery that fails altogether is told too: its Types are those of Options.Known.
func (d *Discovery) Run(ctx context.Context, apply func(Change)) error {
	l := newLoop(d, apply)
	return l.run(ctx)
}
