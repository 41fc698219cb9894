package app_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// written is a directory with an inventory of pods at version 90.
func written(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	slices.Sort(names)
	snapshot := inventory.TypeSnapshot{Type: pods, Version: 90, Names: slices.Values(names)}
	meta := inventory.Meta{Cluster: "uid", Ring: "ring", Written: time.Unix(1, 0)}
	if _, err := inventory.Write(t.Context(), dir, meta, slices.Values([]inventory.TypeSnapshot{snapshot})); err != nil {
		t.Fatal(err)
	}
	return dir
}

// The cluster holds a/x; the API server remembers version 80, at which there was a/w too.
func TestInventoryIsAskedWhereHistoryCannotTell(t *testing.T) {
	t.Parallel()
	var many []string
	for i := range 60 {
		many = append(many, fmt.Sprintf("a/m%02d", i))
	}
	for name, tt := range map[string]struct {
		dir     string
		cluster string
		past    []uint64
		want    []string
		gone    []string
		done    bool
	}{
		"history is gone":                  {written(t, "a/x", "a/y"), "uid", []uint64{50}, []string{"y"}, nil, true},
		"history is gone, after a part":    {written(t, "a/x", "a/y"), "uid", []uint64{50, 80}, []string{"w", "y"}, nil, true},
		"history tells":                    {written(t, "a/x", "a/y"), "uid", []uint64{80}, []string{"w"}, nil, true},
		"no checkpoint speaks of the type": {written(t, "a/x", "a/y"), "uid", nil, []string{"y"}, nil, true},
		"too many are missing":             {written(t, many...), "uid", []uint64{50}, nil, []string{"pods.v1"}, false},
		"of another cluster":               {written(t, "a/x", "a/y"), "other", []uint64{50}, nil, []string{"pods.v1"}, true},
		"there is none":                    {t.TempDir(), "uid", []uint64{50}, nil, []string{"pods.v1"}, true},
		"none is kept":                     {"", "uid", []uint64{50}, nil, []string{"pods.v1"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := index.New(nil)
			x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 100)
			var deleted []string
			past := checkpoint.Past{Versions: map[string][]uint64{"pods.v1": tt.past}}
			if tt.past == nil {
				past.Versions = nil
			}
			s := app.NewSearch(&history{at: map[uint64][]string{80: {"x", "w"}}}, x, checkpoint.NewBook("f", ring.DefaultFormat()), past, nil,
				func() []ownership.MemberStatus { return nil },
				func(typ resource.Type, namespace, name string, _, _ uint64) bool {
					return x.IfAbsent(typ, namespace, name, func() { deleted = append(deleted, name) })
				})
			s.Remember(app.NewMemory(tt.dir, tt.cluster, "ring", x))
			for range 2 { // The second changes nothing.
				s.Step(t.Context(), time.Unix(1000, 0))
			}
			slices.Sort(deleted)
			if diff := cmp.Diff(tt.want, deleted); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if got := s.Gone(); !slices.Equal(got, tt.gone) {
				t.Errorf("said to be unknown: %v, want %v", got, tt.gone)
			}
			if done, _ := s.Done(pods); done != tt.done {
				t.Errorf("done: %v, want %v", done, tt.done)
			}
		})
	}
}

func TestInventoryNamesWhatIsNotYetDeletedAtTheReceiver(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	p := pipeline.New(nil, wire.DotAI(), delivery.NewGate(delivery.GateOptions{}), pipeline.Options{Target: "default"})
	m := app.NewMemory(t.TempDir(), "uid", "ring", x, p)
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
