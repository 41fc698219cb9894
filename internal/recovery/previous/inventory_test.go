package previous_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline/pipelinetest"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// receiver has a pipeline, and is done with all types or with none.
type receiver struct {
	*pipeline.Pipeline
	done bool
}

func (r receiver) Settled(resource.Type) bool { return r.done }

// open opens the inventory in a directory, for some receivers.
func open(dir string, x *index.Index, receivers ...previous.Receiver) *previous.Inventory {
	return previous.Open(previous.Options{
		Dir: dir, Meta: inventory.Meta{Cluster: "uid", Ring: "ring"}, Index: x, Receivers: slices.Values(receivers),
		Wanted: func(resource.Type) bool { return true }, Log: logr.Discard(),
	})
}

func TestInventoryNamesWhatIsNotYetDeletedAtTheReceiver(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	p := pipelinetest.Idle()
	m := open(t.TempDir(), x, receiver{Pipeline: p})
	x.Listen(p)
	x.Replace(pods, []resource.Record{
		{Namespace: "a", Name: "x", ResourceVersion: 5, Digest: 1}, {Namespace: "a", Name: "b", ResourceVersion: 6, Digest: 1},
	}, 100)
	x.Delete(pods, "a", "b", 101)
	for snapshot := range m.Types() {
		if diff := cmp.Diff([]string{"a/b", "a/x"}, slices.Collect(snapshot.Names)); diff != "" {
			t.Errorf("names of %s (-want +got):\n%s", snapshot.Type, diff)
		}
		if snapshot.Version != 101 {
			t.Errorf("%s is complete up to %d, want 101", snapshot.Type, snapshot.Version)
		}
		return
	}
	t.Error("there is no type")
}

// TestOnlyTheClustersOwnTypesTellThatItWentBack has one type behind the inventory. Everything is sent again only if
// that type cannot have begun anew by itself.
func TestOnlyTheClustersOwnTypesTellThatItWentBack(t *testing.T) {
	t.Parallel()
	events := resource.Type{Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}
	aggregated := resource.Type{Group: "flunders.example.com", Version: "v1", Resource: "flunders", Kind: "Flunder", Namespaced: true}
	for typ, want := range map[resource.Type]bool{pods: true, events: false, aggregated: false} {
		dir := t.TempDir()
		snapshot := inventory.TypeSnapshot{Type: typ, Version: 90, Names: slices.Values([]string{"a/x"})}
		meta := inventory.Meta{Cluster: "uid", Ring: "ring", Written: time.Unix(1, 0)}
		if _, err := inventory.Write(t.Context(), dir, meta, slices.Values([]inventory.TypeSnapshot{snapshot})); err != nil {
			t.Fatal(err)
		}
		x := index.New(nil)
		x.Replace(typ, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 60)
		m := open(dir, x)
		if lost, cluster := m.IsOfALostTime(time.Unix(1000, 0)), m.ClusterWentBack(); lost || cluster {
			t.Errorf("%v: at once it is said to be lost: %v, with the cluster: %v", typ, lost, cluster)
		}
		if lost, cluster := m.IsOfALostTime(time.Unix(1061, 0)), m.ClusterWentBack(); !lost || cluster != want {
			t.Errorf("%v: a minute later it is lost: %v, with the cluster: %v, want true and %v", typ, lost, cluster, want)
		}
	}
}

// The names of a type are forgotten when no receiver has to search it any more, and not before. Names that turn out
// to be wrong are forgotten at once.
func TestInventory_TypeIsSettled_IsForgottenWhenAllReceiversAreDone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		done, wrong bool
		want        []string
	}{"a receiver is not done": {want: []string{"a/gone", "a/x"}}, "all are": {done: true, want: []string{"a/x"}}, "it is wrong": {wrong: true, want: []string{"a/x"}}} {
		dir := t.TempDir()
		snapshot := inventory.TypeSnapshot{Type: pods, Version: 90, Names: slices.Values([]string{"a/gone", "a/x"})}
		meta := inventory.Meta{Cluster: "uid", Ring: "ring", Written: time.Unix(1, 0)}
		if _, err := inventory.Write(t.Context(), dir, meta, slices.Values([]inventory.TypeSnapshot{snapshot})); err != nil {
			t.Fatal(err)
		}
		x := index.New(nil)
		p := open(dir, x, receiver{pipelinetest.Idle(), true}, receiver{pipelinetest.Idle(), tt.done})
		x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 100)
		p.Settle()
		if tt.wrong {
			p.Discard(errors.New("not ours"))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := p.Run(ctx); err != nil { // It writes once more.
			t.Fatal(err)
		}
		next, err := inventory.Open(dir, meta, inventory.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for o := range next.Objects(pods) {
			names = append(names, o.Namespace+"/"+o.Name)
		}
		if diff := cmp.Diff(tt.want, names); diff != "" {
			t.Errorf("%s: the next inventory names (-want +got):\n%s", name, diff)
		}
	}
}
