package target

import (
	"context"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/tracing"
)

// Parts are shared by all targets.
type Parts struct {
	Self
	Cluster
	Observers

	// Seat is our membership as a target sees it.
	Seat func(target string) Seat
	// Outlet connects to receivers.
	Outlet Outlet
	// Maps are the ConfigMaps for checkpoints and resyncs.
	Maps corev1client.ConfigMapsGetter
	// Exceptions is the largest number of objects that a checkpoint names; 0 is [checkpoint.MaxExcept].
	Exceptions int
}

// Self identifies this member.
type Self struct{ Version, Member, Namespace, Ring string }

// Cluster is this replica's knowledge of the cluster.
type Cluster struct {
	// ID identifies the cluster.
	ID    string
	Index *index.Index
	Pager deletions.Pager // reads a type from the API server
	// Namespaces are the watched namespaces.
	Namespaces watch.NamespaceFilter
	Types      Types
	// Wanted tells whether a type would be watched if it were served.
	Wanted func(t resource.Type) bool
	// Ready tells whether all types have been read.
	Ready func() bool
	// Restoring tells that the cluster has gone back in time and has not been read since; nil means never.
	Restoring func() bool
	// Previous is the inventory of the previous process; nil means that there is none.
	Previous *previous.Inventory
	// Compare compares the list of a resync with the index; nil compares nothing.
	Compare func(t resource.Type, in func(namespace, name string) bool) resync.Comparison
	// Doubt lists a type anew; nil lists nothing.
	Doubt func(t resource.Type)
}

// Types are the served and wanted types; [typeset.Set] knows them.
type Types interface {
	// Served returns the types that are expected to be read, by slices. Sure returns all types, whole; ok is false
	// while they are not known.
	Served() []resource.Type
	Sure() (types []resource.Type, ok bool)
	// Watching tells whether the watch of a type works.
	Watching(t resource.Type) bool
}

// Observers are told of events.
type Observers struct {
	Log        logr.Logger
	Registerer prometheus.Registerer
	Tracer     *tracing.Tracer
	Streams    *reflector.Metrics
}

// Seat is our membership as one target sees it; [handoff.Seat] is one.
type Seat interface {
	Member
	Rights
	Taker
}

// Member is this member, and its view.
type Member interface {
	Name() string
	Incarnation() string
	View() membership.View
}

// Rights tell which objects are ours to send.
type Rights interface {
	// MaySend tells whether we may send an object. Away tells whether we could, had no other member taken it.
	// OwnedSince returns the version of the gain by which the object is ours.
	MaySend(t resource.Type, id resource.ID) bool
	Away(t resource.Type, id resource.ID) bool
	OwnedSince(t resource.Type, id resource.ID) uint64
	// BeforeWrite returns an error while we are fenced: nothing may be sent.
	BeforeWrite() error
}

// Taker takes parts for a resync.
type Taker interface {
	// Taken tells whether a resync has taken any part of a type. Await waits for a change of that. Take makes us the
	// only sender.
	Taken(t resource.Type) bool
	Await(ctx context.Context, ok func() bool) error
	Take(ctx context.Context, parts []handoff.Span) (handoff.Hold, error)
}
