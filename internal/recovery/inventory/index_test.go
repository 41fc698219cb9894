package inventory_test

import (
	"context"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// life is one process: an index, and its messages to its listeners.
type life struct {
	*index.Index
	generation atomic.Uint64
	deleted    []resource.ID
	pending    map[resource.Type][]string // deletions that are not acknowledged
}

func newLife() *life {
	l := &life{Index: index.New(nil)}
	l.Listen(l)
	return l
}

// Apply implements [index.Listener].
func (l *life) Apply(c index.Change) {
	if !c.Deleted && !c.Known {
		l.generation.Add(1)
	}
	if c.Deleted {
		l.deleted = append(l.deleted, c.ID)
	}
}

func (l *life) list(t resource.Type, version uint64, names ...string) {
	var rs []resource.Record
	for _, n := range names {
		rs = append(rs, resource.Record{Namespace: "shop", Name: n, Digest: 1, ResourceVersion: 1})
	}
	l.Replace(t, rs, version)
}

// Generation, Types, State, Has and Watched make a life a source and a view.
func (l *life) Generation() uint64 { return l.generation.Load() }

func (l *life) Types() iter.Seq[inventory.TypeSnapshot] {
	return func(yield func(inventory.TypeSnapshot) bool) {
		for _, t := range l.Index.Types() {
			stats := l.Type(t)
			names := append(l.Names(t), l.pending[t]...)
			slices.Sort(names)
			if stats.Listed && !yield(snapshot(t, stats.Version, slices.Compact(names)...)) {
				return
			}
		}
	}
}

func (l *life) State(t resource.Type) inventory.State {
	stats := l.Type(t)
	return inventory.State{Listed: stats.Listed, Version: stats.Version}
}

func (l *life) Has(t resource.Type, namespace, name string) bool {
	_, _, ok := l.Get(t, namespace, name)
	return ok
}

func (*life) Watched(resource.Type, string, string) bool { return true }

// live keeps the inventory of one process, which ends within the first interval.
func (l *life) live(t *testing.T, dir string, f func(before *inventory.Inventory, k *inventory.Writer)) {
	t.Helper()
	before, err := inventory.Open(dir, ours, noLimit)
	if err != nil {
		before = nil
	}
	k, err := inventory.NewWriter(dir, ours, l, inventory.WriterOptions{Before: before})
	if err != nil {
		t.Fatal(err)
	}
	f(before, k)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := k.Run(ended); err != nil {
		t.Fatal(err)
	}
}

// The second process finds deletions between two processes, and the third those that the second could not look for.
func TestDeletionsBetweenLivesAreFound(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := newLife()
	first.live(t, dir, func(*inventory.Inventory, *inventory.Writer) {
		first.list(pods, 10, "a", "b", "c")
		first.list(deployments, 11, "x", "y")
		first.Delete(pods, "shop", "c", 12)
		first.pending = map[resource.Type][]string{pods: {"shop/c"}} // the receiver is down
	})

	second := newLife()
	second.live(t, dir, func(before *inventory.Inventory, k *inventory.Writer) {
		second.list(pods, 20, "a", "d") // this process cannot list deployments
		for _, info := range before.Types() {
			v, err := before.Judge(info.Type, second, false)
			if err != nil {
				t.Fatal(err)
			}
			if v.Status != guard.Compared {
				continue
			}
			for _, o := range v.Deleted {
				second.Delete(info.Type, o.Namespace, o.Name, second.Type(info.Type).Version)
			}
			k.Settle(info.Type)
		}
		if diff := cmp.Diff([]resource.ID{"shop/v1/Pod/b", "shop/v1/Pod/c"}, second.deleted); diff != "" {
			t.Errorf("deleted in the second life (-want +got):\n%s", diff)
		}
	})

	third := newLife()
	third.live(t, dir, func(before *inventory.Inventory, _ *inventory.Writer) {
		want := map[string][]string{"pods.v1": {"shop/a", "shop/d"}, "deployments.v1.apps": {"shop/x", "shop/y"}}
		if diff := cmp.Diff(want, names(t, before)); diff != "" {
			t.Errorf("known to the third life (-want +got):\n%s", diff)
		}
		third.list(deployments, 30, "y")
		v, err := before.Judge(deployments, third, false)
		if diff := cmp.Diff([]guard.Object{{Namespace: "shop", Name: "x"}}, v.Deleted); diff != "" || err != nil {
			t.Errorf("deleted in the third life: %v (-want +got):\n%s", err, diff)
		}
	})
}

func (*life) NamespaceGone(string) bool { return false }

func (*life) Lost() bool { return false }
