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

// Change is what discovery has found, compared with the last Change that it told. The callee owns it.
type Change struct {
	// Types is the whole set of types to be watched, sorted. It contains types that are missing without evidence of
	// their removal.
	Types []resource.Type
	// Removed are types that are gone for good. They are not in Types, and their objects are gone, too.
	Removed []resource.Type
	// Migrated are types whose objects are served under another version or group from now on. New is in Types, Old
	// is not. The objects of New are to be upserted before the documents of Old are deleted.
	Migrated []Migration
	// Failed has the groups that could not be discovered, by group/version as Kubernetes spells it ("v1" for the
	// core group). The error of the whole discovery is under "*".
	Failed map[string]error
	// Unknown has the patterns of the filter that match no served type. It is nil while discovery is incomplete.
	Unknown []string
	// Complete says that every group answered.
	Complete bool
}

// Migration says that one type takes the place of another.
type Migration struct {
	Old, New resource.Type
}

// Options of a [Discovery]. The zero value is usable: every type is wanted.
type Options struct {
	// Filter decides which types are wanted; nil wants all.
	Filter Filter
	// Known are types that an earlier life of this process watched. Discovery takes them for served until there is
	// evidence against it. So a type that was removed in the meantime comes in Removed. Types that Filter does not
	// match are ignored.
	Known []resource.Type
	// Interval is the time between two discoveries when nothing happens; 60 s when it is not positive.
	Interval time.Duration
	// RetryInterval is the time between two discoveries while groups fail; 10 s when it is not positive.
	RetryInterval time.Duration
	// Debounce is how long discovery waits for more changes after a change of a definition; 200 ms when it is not
	// positive. The installation of an operator creates dozens of definitions.
	Debounce time.Duration
	// Timeout bounds one discovery; 30 s when it is not positive.
	Timeout time.Duration
	// Doubt is how long complete discoveries must have lacked a type, without other evidence, until it is removed; 60 s
	// when it is not positive.
	Doubt time.Duration
	// MayRead asks whether definitions may be listed and watched, before the first list and after each refused one.
	// If it is nil, discovery does not ask, and tries a refused list again.
	MayRead func(ctx context.Context, t resource.Type) (bool, error)
	// Streams counts the ends and errors of the watches of definitions; nil counts nothing.
	Streams *reflector.Metrics
	// OnDefinition is called when a CustomResourceDefinition was created, changed or deleted; it must not block. It
	// may be nil.
	OnDefinition func()
	// Log gets a message when a state changes.
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

// Status is what discovery knows at one moment. It is a copy.
type Status struct {
	// Types is the set in the last Change.
	Types []resource.Type
	// Missing are the members of Types that the last discovery lacked. They are kept for want of evidence.
	Missing []resource.Type
	// Failed are the groups that cannot be discovered.
	Failed []FailedGroup
	// Unknown are the patterns of the filter that match no served type.
	Unknown []string
	// ShortNames are the short names that the server has told, for [resource.Filter.WithShortNames]. They must not
	// be changed.
	ShortNames map[string][]string
	// LastComplete is the time of the last complete discovery; zero when there was none.
	LastComplete time.Time
	// LastAttempt is the end of the last discovery, successful or not.
	LastAttempt time.Time
	// Watching tells whether definitions are watched, so that changes are noticed within seconds.
	Watching bool
}

// FailedGroup is one group and version that cannot be discovered.
type FailedGroup struct {
	// GroupVersion is group/version, "v1" for the core group, "*" for the whole discovery.
	GroupVersion string
	// Err is the last error.
	Err error
	// Since is when the group began to fail.
	Since time.Time
}

// Discovery finds out which types there are. Make one with [New].
type Discovery struct {
	disco   clientdiscovery.DiscoveryInterfaceWithContext
	client  metadata.Interface
	opts    Options
	metrics *metrics

	mu     sync.Mutex // guards the fields below
	status Status
	loop   *loop // while Run runs, once it watches definitions
}

// New returns a Discovery that asks disco, and watches the names of definitions with client. With a nil client
// it watches none.
func New(disco clientdiscovery.DiscoveryInterface, client metadata.Interface, opts Options) *Discovery {
	opts = opts.withDefaults()
	return &Discovery{
		disco:   clientdiscovery.ToDiscoveryInterfaceWithContext(disco),
		client:  client,
		opts:    opts,
		metrics: newMetrics(opts.Registerer),
	}
}

// Status returns what discovery knows.
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
// APIServices may not be watched, it guesses: a type is aggregated if it neither belongs to a group of
// Kubernetes nor has a CustomResourceDefinition.
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

// Definitions returns all CustomResourceDefinitions, wanted or not, each with its generation. It also tells
// whether they are watched and have been listed.
func (d *Discovery) Definitions() (generations map[string]int64, complete bool) {
	d.mu.Lock()
	l := d.loop
	d.mu.Unlock()
	if l == nil || !l.crds.isWatching() {
		return nil, false
	}
	return l.crds.generations(), true
}

// Run discovers until ctx is done. Then it returns nil, after all its goroutines have ended. It calls apply,
// from one goroutine, after the first discovery, and again after each one that differs from the last Change.
// While apply runs, Run makes no discovery.
//
// Run calls apply for a first discovery that fails altogether, too. Its Types are those of Options.Known.
func (d *Discovery) Run(ctx context.Context, apply func(Change)) error {
	l := newLoop(d, apply)
	return l.run(ctx)
}
