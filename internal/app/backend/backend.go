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

// Target is one receiver, as it is asked about.
type Target interface {
	Receiver
	Recovery
	// Pipeline is what sends to it, Resyncs what sends to it again.
	Pipeline() Pipeline
	Resyncs() Resyncs
}

// Receiver says who a receiver is.
type Receiver interface {
	Name() string
	Endpoint() string // as it may be shown
	Format() string
}

// Recovery says what was missed, and what members say of it.
type Recovery interface {
	// Ledger has all members' checkpoints as last seen.
	Ledger() *checkpoint.Ledger
	// Search tells how far the search for the missed deletions of a type has come, and what its watch has not seen.
	Search(t resource.Type) (state deletions.State, gap deletions.Gap, known bool)
	// Said is what the members say of the receiver; ours is among it.
	Said() map[string]progress.MemberStats
}

// Pipeline tells what is being sent; [pipeline.Pipeline] is one.
type Pipeline interface {
	Stats() pipeline.Stats
	Quarantined(most int) []pipeline.Quarantined
	Pending(t resource.Type) int
	Item(id resource.ID) (pipeline.ItemStatus, bool)
}

// Resyncs are those of one receiver; [operations.Engine] has them.
type Resyncs interface {
	Start(ctx context.Context, r operations.Request) (operations.Operation, error)
	Wait(ctx context.Context, id string) (operations.Operation, error)
	Get(id string) (operations.Operation, bool)
	List() []operations.Operation
	Next() (at time.Time, ok bool)
	Refresh(ctx context.Context) error
}

// Members tells who shares the work; [membership.Membership] does.
type Members interface {
	View() membership.View
	Owner(k ownership.Kind, namespace string, id resource.ID) membership.Owner
	BeforeWrite() error
}

// Source says what is read of the cluster.
type Source struct {
	Index     *index.Index
	Discovery interface{ Status() discovery.Status }
	Watches   interface{ Status() []watch.Status }
	// Types are those that are served, wanted, and expected to be read.
	Types    interface{ Served() []resource.Type }
	Verifier *verify.Verifier
}

// Life is how far the replica has come.
type Life struct {
	Started time.Time
	// Ready tells whether the cluster has been read, Stopping whether the replica has been told to stop.
	Ready, Stopping func() bool
}

// Options are whom a [Backend] asks.
type Options struct {
	Source
	Life

	Version, Member string // of the program; our own name
	Members         Members
	Targets         func() []Target // by name
}

// Backend answers what a replica is asked.
type Backend struct{ Options }

// New returns a backend, which begins nothing by itself.
func New(o Options) *Backend { return &Backend{o} }

// Of returns a target as it is asked about.
func Of(t *target.Target) Target { return asked{t} }

type asked struct{ *target.Target }

// Pipeline implements [Target].
func (a asked) Pipeline() Pipeline { return a.Target.Pipeline() }

// Resyncs implements [Target].
func (a asked) Resyncs() Resyncs { return a.Target.Resyncs() }
