package pipeline

import (
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
)

// Options are the settings of a [Pipeline]. Durations of zero mean at once, unless stated otherwise.
type Options struct {
	// Target names the receiver in logs and metrics.
	Target string
	// Debounce is how long an object must be quiet before it is sent; MaxWait cuts the wait off.
	Debounce, MaxWait time.Duration
	// FlushInterval is how long due objects may wait for a batch to fill.
	FlushInterval time.Duration
	// MaxUpserts, MaxDeletes and MaxBytes bound one request. 0 means 50 upserts, 1000 deletes, 1 MiB.
	MaxUpserts, MaxDeletes, MaxBytes int
	// Settle is how long after the receiver's next answer a request of unknown outcome may still be applied. 0 means
	// 60 s; the slowest answer of the last ten minutes counts if it took longer. Repeats is the number of times that
	// the last word is repeated, once each Settle. 0 means 5, which covers receivers that hold a request for minutes
	// (cluster-whisperer's own limit towards its store is 300 s).
	Settle  time.Duration
	Repeats int
	// MaxBodyBytes bounds the memory for bodies of objects that wait. 0 means 32 MiB.
	MaxBodyBytes int64
	// Owner decides which objects are ours. nil means all.
	Owner Owner
	// Covers tells whether the receiver is known to have a state of an object, or to have deleted the object. An
	// object of a first list that is covered needs no sending. Covers is called under the pipeline's lock. nil means
	// that nothing is known.
	Covers func(t resource.Type, id resource.ID, s State) bool
	// Delivered is called with each acknowledged deletion, once no older request can undo it. It is also called with
	// each acknowledged state whose version is no number, or that a member's watch had lost. It is called under the
	// pipeline's lock. nil is not called.
	Delivered func(id resource.ID, s State)
	// Acknowledged returns the version up to which every state of an object is known to be acknowledged. It is
	// called under the pipeline's lock. nil means that nothing is known.
	Acknowledged func(t resource.Type, id resource.ID) uint64
	// OwnedSince returns, for an object that is ours, a version at which it was ours already: all that other members
	// have sent of it is older. It is called under the pipeline's lock. nil means from the beginning.
	OwnedSince func(t resource.Type, id resource.ID) uint64
	// Doubtful tells of which objects a former owner reports that a request of unknown outcome may still be applied.
	// We, as the successor, repeat their last word. nil means of none.
	Doubtful func(id resource.ID) (Doubt, bool)
	// Taken tells whether another member has an object for good, as its published claim says; a fence alone takes
	// nothing away. It is called without the pipeline's lock. nil means never.
	Taken func(t resource.Type, id resource.ID) bool
	// Observe is called with the state of the breaker after every request and each [Pipeline.SetMaxInFlight], under
	// the pipeline's lock. nil is not called.
	Observe func(delivery.State)
	// Log gets transitions, and of single objects only those that are quarantined.
	Log logr.Logger
	// Registerer takes the metrics; nil switches them off.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&o.MaxUpserts, 50)
	def(&o.MaxDeletes, 1000)
	def(&o.MaxBytes, 1<<20)
	def(&o.Repeats, defaultRepeats)
	if o.Settle <= 0 {
		o.Settle = time.Minute
	}
	if o.MaxBodyBytes <= 0 {
		o.MaxBodyBytes = 32 << 20
	}
	if o.Owner == nil {
		o.Owner = everything{}
	}
	if o.Covers == nil {
		o.Covers = func(resource.Type, resource.ID, State) bool { return false }
	}
	if o.Acknowledged == nil {
		o.Acknowledged = func(resource.Type, resource.ID) uint64 { return 0 }
	}
	if o.Delivered == nil {
		o.Delivered = func(resource.ID, State) {}
	}
	if o.OwnedSince == nil {
		o.OwnedSince = func(resource.Type, resource.ID) uint64 { return 0 }
	}
	if o.Doubtful == nil {
		o.Doubtful = func(resource.ID) (Doubt, bool) { return Doubt{}, false }
	}
	if o.Taken == nil {
		o.Taken = func(resource.Type, resource.ID) bool { return false }
	}
	return o
}

type everything struct{}

func (everything) MaySend(resource.Type, resource.ID) bool { return true }
