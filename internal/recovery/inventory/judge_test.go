package inventory_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/inventory"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// present is a view in which objects named live exist, and namespace "hidden" is not watched.
type present map[resource.Type]inventory.State

func (p present) State(t resource.Type) inventory.State { return p[t] }

func (present) Has(_ resource.Type, _, name string) bool { return name[:4] == "live" }

func (present) NamespaceGone(namespace string) bool { return namespace == "gone" }

func (p present) Lost() bool { return p[lostTime].Gone }

// lostTime stands for a view after a restore.
var lostTime = resource.Type{Resource: "lost"}

func (present) Watched(_ resource.Type, namespace, _ string) bool { return namespace != "hidden" }

// objects are so many living objects and so many that are gone.
func objects(live, gone int) []string {
	var all []string
	for i := range gone {
		all = append(all, fmt.Sprintf("shop/gone-%05d", i))
	}
	for i := range live {
		all = append(all, fmt.Sprintf("shop/live-%05d", i))
	}
	return all
}

func TestJudge(t *testing.T) {
	t.Parallel()
	listed := inventory.State{Listed: true, Version: 20}
	for name, tt := range map[string]struct {
		names       []string
		version     uint64
		now         inventory.State
		force       bool
		status      string
		missing     int
		deleted     int
		wantDeleted []guard.Object
	}{
		"what is not listed was deleted": {
			names: []string{"shop/gone-1", "shop/live-1"}, version: 20, now: listed, status: "compared", missing: 1, deleted: 1,
			wantDeleted: []guard.Object{{Namespace: "shop", Name: "gone-1"}}},
		"nothing is missing":             {names: objects(100, 0), version: 12, now: listed, status: "compared"},
		"fifty are not held back":        {names: objects(0, 50), version: 12, now: listed, status: "compared", missing: 50, deleted: 50},
		"fifty-one are":                  {names: objects(0, 51), version: 12, now: listed, status: "guarded", missing: 51},
		"a tenth is not held back":       {names: objects(900, 100), version: 12, now: listed, status: "compared", missing: 100, deleted: 100},
		"more than a tenth is":           {names: objects(899, 101), version: 12, now: listed, status: "guarded", missing: 101},
		"unless it is forced":            {names: objects(0, 500), version: 12, now: listed, force: true, status: "compared", missing: 500, deleted: 500},
		"no complete list":               {names: objects(0, 1), version: 12, now: inventory.State{Version: 20}, status: "unknown"},
		"no complete list, forced":       {names: objects(0, 1), version: 12, now: inventory.State{Version: 20}, force: true, status: "unknown"},
		"nothing known":                  {names: objects(0, 1), version: 12, status: "unknown"},
		"versions that are no numbers":   {names: objects(0, 1), version: 0, now: listed, status: "unknown"},
		"no version to compare with":     {names: objects(0, 1), version: 12, now: inventory.State{Listed: true}, status: "unknown"},
		"a type that is gone":            {names: objects(1, 1), version: 12, now: inventory.State{Gone: true}, status: "compared", missing: 2, deleted: 2},
		"a large type that is gone":      {names: objects(51, 1), version: 12, now: inventory.State{Gone: true}, status: "guarded", missing: 52},
		"what is not watched":            {names: []string{"hidden/gone"}, version: 12, now: listed, status: "compared"},
		"what is not watched, type gone": {names: []string{"hidden/gone"}, version: 12, now: inventory.State{Gone: true}, status: "compared"},
		"their namespaces are gone":      {names: append(inNamespaceGone(60), objects(0, 2)...), version: 12, now: listed, status: "compared", missing: 2, deleted: 62},
		"some namespaces are gone":       {names: append(inNamespaceGone(60), objects(0, 70)...), version: 12, now: listed, status: "guarded", missing: 70, deleted: 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, snapshot(pods, tt.version, tt.names...))
			v, err := open(t, dir).Judge(pods, present{pods: tt.now}, tt.force)
			if err != nil {
				t.Fatal(err)
			}
			if v.Status.String() != tt.status || v.Missing != tt.missing || len(v.Deleted) != tt.deleted {
				t.Errorf("status %s, %d missing, %d deleted; want %s, %d, %d", v.Status, v.Missing, len(v.Deleted), tt.status, tt.missing, tt.deleted)
			}
			if diff := cmp.Diff(tt.wantDeleted, v.Deleted); tt.wantDeleted != nil && diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if v.Info != (inventory.TypeInfo{Type: pods, Version: tt.version, Objects: len(tt.names)}) || v.Limit != max(50, len(tt.names)/10) {
				t.Errorf("verdict is of %+v with limit %d", v.Info, v.Limit)
			}
		})
	}
}

// inNamespaceGone are so many objects of a namespace that is gone.
func inNamespaceGone(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("gone/gone-%05d", i))
	}
	return all
}

// An inventory of a time that was lost with a database names documents that a receiver may hold. It proves nothing.
func TestOfALostTimeEverythingIsGuarded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(nodes, 12, "gone-1"), snapshot(pods, 30, inNamespaceGone(60)...))
	inv, now := open(t, dir), present{pods: {Listed: true, Version: 20}, nodes: {Listed: true, Version: 20}, lostTime: {Gone: true}}
	if v, err := inv.Judge(pods, now, false); err != nil || v.Status != guard.Guarded || v.Missing != 60 || len(v.Deleted) > 0 {
		t.Errorf("%+v, %v; want 60 held back", v, err)
	}
	if v, err := inv.Judge(nodes, now, false); err != nil || v.Status != guard.Compared || len(v.Deleted) != 1 {
		t.Errorf("%+v, %v; want one deleted", v, err)
	}
}

func TestVersionsThatWentBackVoidTheWholeInventory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(nodes, 30, "live-1"), snapshot(pods, 12, "shop/gone"))
	inv := open(t, dir)
	now := present{pods: {Listed: true, Version: 20}, nodes: {Listed: true, Version: 29}}
	for _, force := range []bool{false, true} {
		if v, err := inv.Judge(pods, now, force); !errors.Is(err, inventory.ErrBackwards) || v.Deleted != nil {
			t.Errorf("force %v: %+v, %v, want that the inventory is void", force, v, err)
		}
	}
	info := inventory.TypeInfo{Type: nodes, Version: 30, Objects: 1}
	if v, err := inventory.Judge(info, inv.Objects(nodes), now, true); !errors.Is(err, inventory.ErrBackwards) || v.Deleted != nil {
		t.Errorf("the type alone: %+v, %v, want that it is void", v, err)
	}
	now[nodes] = inventory.State{Listed: true, Version: 30}
	if v, err := inv.Judge(pods, now, false); err != nil || len(v.Deleted) != 1 {
		t.Errorf("at the same version: %+v, %v, want one deleted", v, err)
	}
	now[nodes] = inventory.State{Version: 1}
	if _, err := inv.Judge(pods, now, false); err != nil {
		t.Errorf("a type that has no list yet: %v, want that it says nothing", err)
	}
}

func TestJudgeOfATypeThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir)
	v, err := open(t, dir).Judge(pods, present{pods: {Listed: true, Version: 20}}, true)
	if err != nil || v.Status != guard.Unknown || v.Deleted != nil {
		t.Errorf("judged as %+v, %v, want unknown", v, err)
	}
}

func TestNamesThatFailDeleteNothing(t *testing.T) {
	t.Parallel()
	failing := func(yield func(guard.Object, error) bool) {
		_ = yield(guard.Object{Namespace: "shop", Name: "gone"}, nil) && yield(guard.Object{}, io.ErrUnexpectedEOF)
	}
	v, err := inventory.Judge(inventory.TypeInfo{Type: pods, Version: 1, Objects: 2}, failing, present{pods: {Listed: true, Version: 2}}, true)
	if !errors.Is(err, io.ErrUnexpectedEOF) || v.Deleted != nil {
		t.Errorf("judged as %+v, %v, want the error and nothing deleted", v, err)
	}
}

// Without force, the held objects are not kept in memory.
func TestAGuardedVerdictHoldsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, snapshot(pods, 1, objects(0, 10_000)...))
	v, err := open(t, dir).Judge(pods, present{pods: {Listed: true, Version: 2}}, false)
	if err != nil || v.Status != guard.Guarded || v.Missing != 10_000 || v.Deleted != nil {
		t.Errorf("judged as %s, %d missing, %d deleted, %v", v.Status, v.Missing, len(v.Deleted), err)
	}
	forced, err := open(t, dir).Judge(pods, present{pods: {Listed: true, Version: 2}}, true)
	if err != nil || len(forced.Deleted) != 10_000 {
		t.Errorf("forced: %d deleted, %v", len(forced.Deleted), err)
	}
}
