package deletions_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
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
			s := newSearch(&history{at: map[uint64][]string{80: {"x", "w"}}}, x, checkpoint.NewLedger("f", ring.DefaultFormat()), past, nil,
				func() []ownership.MemberStatus { return nil },
				func(typ resource.Type, namespace, name string, _, _ uint64) bool {
					return x.IfAbsent(typ, namespace, name, func() { deleted = append(deleted, name) })
				}, remember(tt.dir, tt.cluster, "ring", x))
			for range 2 { // The second changes nothing.
				s.Step(t.Context(), time.Unix(1000, 0))
			}
			slices.Sort(deleted)
			if diff := cmp.Diff(tt.want, deleted); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if got := s.gone(); !slices.Equal(got, tt.gone) {
				t.Errorf("said to be unknown: %v, want %v", got, tt.gone)
			}
			if done, _ := s.done(pods); done != tt.done {
				t.Errorf("done: %v, want %v", done, tt.done)
			}
		})
	}
}

// The database of the API server was restored from a backup, and all replicas began anew. The checkpoints went back
// with it, so history tells that nothing is missing. The inventory is of the lost time, in which a/y existed, and
// its document still exists.
func TestOfALostTimeTheInventoryIsConsultedWhateverHistoryTells(t *testing.T) {
	t.Parallel()
	for name, catchesUp := range map[string]bool{"it stays behind": false, "it has written as much again within a minute": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := index.New(nil)
			x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 60)
			var deleted []string
			s := newSearch(&history{at: map[uint64][]string{50: {"x"}}}, x, checkpoint.NewLedger("f", ring.DefaultFormat()),
				checkpoint.Past{Versions: map[string][]uint64{"pods.v1": {50}}}, nil, func() []ownership.MemberStatus { return nil },
				func(typ resource.Type, namespace, name string, _, _ uint64) bool {
					return x.IfAbsent(typ, namespace, name, func() { deleted = append(deleted, name) })
				}, remember(written(t, "a/x", "a/y"), "uid", "ring", x))
			s.Step(t.Context(), time.Unix(1000, 0))
			if len(deleted) > 0 {
				t.Fatalf("%v deleted by an inventory that may only be ahead of a cache", deleted)
			}
			now := time.Unix(1061, 0)
			if catchesUp {
				x.Bookmark(pods, 95)
				now = time.Unix(1010, 0)
			}
			for range 2 {
				s.Step(t.Context(), now)
			}
			if diff := cmp.Diff([]string{"y"}, deleted); diff != "" || s.state(pods) != "compared" {
				t.Errorf("it is %s; deleted (-want +got):\n%s", s.state(pods), diff)
			}
		})
	}
}

// Sixty objects are gone with their namespace: a complete list of the namespaces proves that, and no person is
// asked.
func TestGuard_ObjectsWentWithTheirNamespace_HoldsNothing(t *testing.T) {
	t.Parallel()
	namespaces := resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
	var names []string
	for i := range 60 {
		names = append(names, fmt.Sprintf("gone/m%02d", i))
	}
	for listed, want := range map[bool]int{true: 60, false: 0} {
		x := index.New(nil)
		x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}}, 100)
		if listed {
			x.Replace(namespaces, []resource.Record{{Name: "a", ResourceVersion: 1}}, 100)
		}
		deleted := 0
		s := newSearch(&history{}, x, checkpoint.NewLedger("f", ring.DefaultFormat()),
			checkpoint.Past{Versions: map[string][]uint64{"pods.v1": {50}}}, nil, func() []ownership.MemberStatus { return nil },
			func(resource.Type, string, string, uint64, uint64) bool { deleted++; return true }, remember(written(t, names...), "uid", "ring", x))
		s.Step(t.Context(), time.Unix(0, 0))
		if deleted != want || s.held(pods) != 60-want {
			t.Errorf("namespaces listed: %v: %d deleted, %d held back, want %d deleted", listed, deleted, s.held(pods), want)
		}
	}
}

// If the versions of a type are no numbers, neither history nor an inventory can tell of it.
func TestATypeWithoutVersionsIsSaidToBeUnknown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opaque     bool
		incumbents map[string]string
		want       string
	}{
		"it was never sent":  {false, nil, "answered"},
		"after an outage":    {true, nil, "unknown"},
		"somebody was there": {true, map[string]string{"b": "one"}, "answered"},
	} {
		x := index.New(nil)
		x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", Digest: 1}}, 0)
		var members []ownership.MemberStatus
		for member, process := range tt.incumbents {
			members = append(members, ownership.MemberStatus{Lease: ownership.Lease{Member: member, Incarnation: process + ".1", State: ownership.Live}})
		}
		s := newSearch(&history{}, x, checkpoint.NewLedger("f", ring.DefaultFormat()), checkpoint.Past{Opaque: map[string]bool{"pods.v1": tt.opaque}},
			tt.incumbents, func() []ownership.MemberStatus { return members }, nil)
		s.Step(t.Context(), time.Unix(0, 0))
		if got := s.state(pods); got != tt.want || (got == "unknown") != (len(s.gone()) == 1) {
			t.Errorf("%s: it is %s, said to be unknown: %v; want %s", name, got, s.gone(), tt.want)
		}
	}
}
