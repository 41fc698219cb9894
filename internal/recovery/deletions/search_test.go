package deletions_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/previous"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// search is a finder, with the functions that tests need.
type search struct {
	*deletions.Finder
	refresh *func() error
}

// told are the checkpoints of all members at the start.
type told struct {
	past    checkpoint.Past
	refresh *func() error
}

func (c told) Before() (all checkpoint.Past, ours map[string][]uint64) { return c.past, nil }
func (c told) Refresh(context.Context) error                           { return (*c.refresh)() }

// newSearch returns a finder that knows the earlier checkpoints and, by member, the processes at its start. members
// are the present ones; of remembers there is one at most.
func newSearch(p deletions.Pager, x *index.Index, ledger *checkpoint.Ledger, past checkpoint.Past, incumbents map[string]string,
	members func() []ownership.MemberStatus, deleted func(t resource.Type, namespace, name string, after, at uint64) bool, remembers ...*previous.Inventory,
) search {
	past.Incarnations = make(map[string]string)
	for member, process := range incumbents {
		past.Incarnations[member] = process + ".1"
	}
	refresh := func() error { return nil }
	opts := deletions.Options{
		Pager: p, Index: x, Ledger: ledger, Checkpoints: told{past, &refresh}, Members: members,
		Receiver: deletions.Receiver{
			Wants: func(resource.Type, string, string) bool { return true }, Sees: func(resource.Record) bool { return true }, Delete: deleted,
		},
		Types: deletions.Types{
			Served:   func() ([]resource.Type, bool) { return x.Types(), true },
			Selected: func(t resource.Type) bool { return t.Resource != "unselected" },
		},
		Metrics: repair.NewMetrics(nil), Log: logr.Discard(),
	}
	if len(remembers) > 0 {
		opts.Previous = remembers[0]
	}
	return search{deletions.New(opts), &refresh}
}

// onRefresh sets a function that runs when the checkpoints are read once more.
func (s search) onRefresh(f func() error) { *s.refresh = f }

// done tells whether checkpoints cover all deletions of a type. If not, bound is the version up to which they do; 1
// means none.
func (s search) done(t resource.Type) (done bool, bound uint64) {
	c, known := s.Coverage(time.Unix(0, 0))[t.String()]
	return known && c.Version > 0 && c.Deleted == 0, c.Deleted
}

// state is the state of a type's search.
func (s search) state(t resource.Type) string {
	state, _, _ := s.Inspect(t)
	return state.String()
}

// gone returns the types whose deletions may have been missed.
func (s search) gone() []string {
	var names []string
	for _, t := range s.Unresolved() {
		names = append(names, t.String())
	}
	for _, h := range repair.Sorted(s.Held()) {
		names = append(names, h.Resource)
	}
	return names
}

// held is how many documents of a type are held back.
func (s search) held(t resource.Type) int { return s.Held()[t].Documents }

// force deletes the held pods, in one namespace or in all.
func (s search) force(t *testing.T, namespace string) (int, error) {
	t.Helper()
	return s.Release(t.Context(), pods, repair.Scope{Namespace: namespace}, func(_ context.Context, _ resource.Type, gone []guard.Object, _ bool) (int, error) {
		return len(gone), nil
	})
}

// remember opens the inventory in a directory.
func remember(dir, cluster, ring string, x *index.Index) *previous.Inventory {
	return previous.Open(previous.Options{
		Dir: dir, Meta: inventory.Meta{Cluster: cluster, Ring: ring}, Index: x, Receivers: slices.Values([]previous.Receiver(nil)),
		Wanted: func(resource.Type) bool { return true }, Log: logr.Discard(),
	})
}
