package target

import (
	"fmt"
	"net/url"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/outbound"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
)

// Spec describes a receiver and the way to send to it.
type Spec struct {
	Access
	Scope
	Pace
	Limits

	// Name is unique among the receivers.
	Name     string
	Endpoint *url.URL
	// Format is the name of a contract.
	Format string
	// Late says that the target begins when types have been read already. Before is the backlog of its predecessor;
	// nil means that there is none.
	Late   bool
	Before *retired.Backlog
	// Declared is the ResourceSyncConfig that names the receiver; nil: the environment names it.
	Declared *controller.Target
}

// Access holds the credentials for a receiver.
type Access struct {
	Token delivery.TokenSource
	CA    []byte
	Files outbound.Files
}

// Scope is the selection of a receiver.
type Scope struct {
	Selection  resource.Selection  // the objects and fields that all receivers together select
	Own        *resource.Selection // the part of it that this receiver gets; nil: all
	Narrow     bool                // types and namespaces are narrower than what is watched
	Types      resource.Filter
	Namespaces watch.NamespaceFilter
}

// Pace holds the times of sending. Resync is the time between two full resyncs.
type Pace struct{ Debounce, MaxWait, Flush, Settle, Timeout, Resync time.Duration }

// Limits bound how much is sent at once.
type Limits struct {
	MaxUpserts, MaxBytes, MaxInFlight int
	DirtyMaxBytes                     int64
}

// FromEnvironment returns the receiver that the environment defines.
func FromEnvironment(cfg config.Config) Spec {
	s := Spec{
		Name: handoff.Environment, Endpoint: cfg.Endpoint, Format: cfg.EndpointFormat,
		Access: Access{Files: cfg.Files}, Scope: Scope{Selection: cfg.Selection},
		Pace: Pace{
			Debounce: cfg.DebounceWindow, MaxWait: cfg.DebounceMaxWait, Flush: cfg.BatchFlushInterval, Settle: cfg.SettleTime,
			Timeout: cfg.RequestTimeout, Resync: cfg.ResyncInterval,
		},
		Limits: Limits{MaxUpserts: cfg.BatchMaxSize, MaxBytes: cfg.BatchMaxBytes, MaxInFlight: cfg.MaxInFlight, DirtyMaxBytes: cfg.DirtyMaxBytes},
	}
	if cfg.AuthTokenFile != "" {
		s.Token = delivery.TokenFile(cfg.AuthTokenFile)
	}
	return s
}

// receiver identifies the one receiver for whose documents a target is responsible.
func (s Spec) receiver() string { return s.Endpoint.String() + " " + s.Format }

// wants tells whether the receiver selects objects like this one.
func (s Spec) wants(t resource.Type, namespace, name string) bool {
	return !s.Narrow || s.Types.Match(t) && s.Namespaces.Match(t, namespace, name)
}

// fingerprint covers every setting whose change makes checkpoints worthless.
func (s Spec) fingerprint(cluster string) string {
	f := fmt.Sprintf("cluster=%s endpoint=%s format=%s keeps=%s", cluster, s.Endpoint, s.Format, s.Selection)
	if s.Narrow {
		f += fmt.Sprintf(" types=%s namespaces=%v", s.Types, s.Namespaces)
	}
	if s.Own != nil {
		f += fmt.Sprintf(" of that=%s", s.Own)
	}
	return f
}
