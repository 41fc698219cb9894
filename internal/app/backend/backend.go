package backend

import (
	"context"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/inspect"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target"
)

var (
	_ api.Backend    = (*Backend)(nil)
	_ inspect.Source = (*Backend)(nil)
)

// Target is one receiver, with the parts that questions are about.
type Target interface {
	Receiver
	Recovery
	// Pipeline sends changes to the receiver, and Resyncs sends objects to it again.
	Pipeline() Pipeline
	Resyncs() Resyncs
}

// Receiver names a receiver.
type Receiver interface {
	Name() string
	Endpoint() string // without secrets, so that it may be shown
	Format() string
}

// Recovery says which deletions were missed, and what all members report about them.
type Recovery interface {
	// Ledger has all members' checkpoints as last seen.
	Ledger() *checkpoint.Ledger
	// Search tells how far the search for the missed deletions of a type has come, and which gap its watch has.
	Search(t resource.Type) (state deletions.State, gap deletions.Gap, known bool)
	// Said returns the statistics that the members report of the receiver, this member's among them.
	Said() map[string]progress.MemberStats
}

// Pipeline tells what is being sent. [pipeline.Pipeline] implements it.
type Pipeline interface {
	Stats() pipeline.Stats
	Quarantined(most int) []pipeline.Quarantined
	Pending(t resource.Type) int
	Item(id resource.ID) (pipeline.ItemStatus, bool)
}

// Resyncs are the resyncs of one receiver. [operations.Engine] implements it.
type Resyncs interface {
	Start(ctx context.Context, r operations.Request) (operations.Operation, error)
	Wait(ctx context.Context, id string) (operations.Operation, error)
	Get(id string) (operations.Operation, bool)
	List() []operations.Operation
	Next() (at time.Time, ok bool)
	Refresh(ctx context.Context) error
}

// Members tells which members share the work. [membership.Membership] implements it.
type Members interface {
	View() membership.View
	Owner(k ownership.Kind, namespace string, id resource.ID) membership.Owner
	BeforeWrite() error
}

// Source says what the replica reads of the cluster.
type Source struct {
	Index     *index.Index
	Discovery interface{ Status() discovery.Status }
	Watches   interface{ Status() []watch.Status }
	// Types returns the types that are served, wanted, and expected to be readable.
	Types    interface{ Served() []resource.Type }
	Verifier *verify.Verifier
}

// Life tells how far the replica has come.
type Life struct {
	Started time.Time
	// Ready tells whether the cluster has been read, Stopping whether the replica has been told to stop.
	Ready, Stopping func() bool
}

// Options are the parts that a [Backend] asks.
type Options struct {
	Source
	Life

	Version, Member string // of the program; this member's name
	Members         Members
	Targets         func() []Target // by name
}

// Backend answers the questions to a replica.
type Backend struct{ Options }

// New returns a backend, which starts no goroutine.
func New(o Options) *Backend { return &Backend{o} }

// Of returns a target in the form in which a [Backend] asks it.
func Of(t *target.Target) Target { return asked{t} }

type asked struct{ *target.Target }

// Pipeline implements [Target].
func (a asked) Pipeline() Pipeline { return a.Target.Pipeline() }

// Resyncs implements [Target].
func (a asked) Resyncs() Resyncs { return a.Target.Resyncs() }
