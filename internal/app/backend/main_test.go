package backend_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app/backend"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods       = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	events     = resource.Type{Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}
	newEvents  = resource.Type{Group: "events.k8s.io", Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}
	namespaces = resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
)

// widgets returns the type widgets.example.com at a version.
func widgets(version string) resource.Type {
	return resource.Type{Group: "example.com", Version: version, Resource: "widgets", Kind: "Widget", Namespaced: true}
}

// asked are the parts that a backend asks.
type asked struct {
	x       *index.Index
	watches []watch.Status
	started time.Time
	targets []backend.Target
	served  []resource.Type
}

func (a asked) backend() *backend.Backend {
	return backend.New(backend.Options{
		Source: backend.Source{
			Index: a.x, Discovery: discovered{}, Watches: watched(a.watches), Types: served(a.served),
			Verifier: verify.New(verify.Options{Index: a.x}),
		},
		Life:   backend.Life{Started: a.started, Ready: func() bool { return true }, Stopping: func() bool { return false }},
		Member: "m", Members: alone{}, Targets: func() []backend.Target { return a.targets },
	})
}

type discovered struct{}

func (discovered) Status() discovery.Status { return discovery.Status{} }

type watched []watch.Status

func (w watched) Status() []watch.Status { return w }

type served []resource.Type

func (s served) Served() []resource.Type { return s }

// alone is a member without peers, which owns every object.
type alone struct{}

func (alone) View() membership.View {
	return membership.View{Member: "m", Status: ownership.Status{Claim: ownership.Claim{View: []string{"m"}}}}
}

func (alone) Owner(ownership.Kind, string, resource.ID) membership.Owner {
	return membership.Owner{Member: "m", MaySend: true}
}

func (alone) BeforeWrite() error { return nil }

// receiver is a target with a pipeline, which has missed no deletion.
type receiver struct {
	backend.Recovery

	p *pipeline.Pipeline
}

func (receiver) Name() string                          { return "default" }
func (receiver) Endpoint() string                      { return "http://receiver" }
func (receiver) Format() string                        { return "dot-ai" }
func (receiver) Said() map[string]progress.MemberStats { return nil }
func (receiver) Resyncs() backend.Resyncs              { return noResyncs{} }
func (r receiver) Pipeline() backend.Pipeline          { return r.p }

// noResyncs are the resyncs of a receiver that was never resynced.
type noResyncs struct{ backend.Resyncs }

func (noResyncs) List() []operations.Operation  { return nil }
func (noResyncs) Next() (at time.Time, ok bool) { return time.Time{}, false }
