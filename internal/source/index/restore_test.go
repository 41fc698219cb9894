package index_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// collector keeps every change.
type collector struct{ changes []index.Change }

func (c *collector) Apply(change index.Change) { c.changes = append(c.changes, change) }

// lossy returns the index of a cluster that has lost all changes after version 200: x was changed, new was
// created and gone was deleted.
func lossy() (*index.Index, *collector) {
	x, told := index.New(nil), &collector{}
	x.Replace(pods, []resource.Record{rec("a", "x", 1, 100), rec("a", "y", 1, 101), rec("a", "gone", 1, 102)}, 200)
	x.Upsert(pods, rec("a", "x", 2, 900))
	x.Delete(pods, "a", "gone", 902)
	x.Upsert(pods, rec("a", "new", 1, 901))
	x.Listen(told)
	return x, told
}

// TestAListIsTheTruthWhateverTheVersionsOfItsObjects restores etcd with a raised revision. Lists have a higher
// version than any before, and objects have their versions from the backup.
func TestAListIsTheTruthWhateverTheVersionsOfItsObjects(t *testing.T) {
	for name, version := range map[string]uint64{"raised": 1_000_000_200, "plain": 250} {
		t.Run(name, func(t *testing.T) {
			x, told := lossy()
			x.Replace(pods, []resource.Record{rec("a", "x", 1, 100), rec("a", "y", 1, 101), rec("a", "gone", 1, 102)}, version)
			want := map[resource.ID]uint64{"a/v1/Pod/new": 0, "a/v1/Pod/x": 1, "a/v1/Pod/gone": 1}
			got := map[resource.ID]uint64{}
			for _, c := range told.changes {
				got[c.ID] = c.Record.Digest
				if c.Record.ResourceVersion != version {
					t.Errorf("%s is told of at version %d, which a checkpoint of the lost time may cover; want that of the list", c.ID, c.Record.ResourceVersion)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("told (-want +got):\n%s", diff)
			}
			if !x.IfCurrent(pods, rec("a", "x", 1, 100), func() {}) {
				t.Error("the state of the list is not current, so a resync would not send it")
			}
			if got := x.Type(pods).Restores; got != 1 {
				t.Errorf("%d restores, want 1", got)
			}
			x.Upsert(pods, rec("a", "x", 3, version+1))
			if digest, _, _ := x.Get(pods, "a", "x"); digest != 3 {
				t.Errorf("digest %d after a write, want 3", digest)
			}
		})
	}
}

// TestMerge_ListLacksAnObject_ItStaysKnown merges lists that may be incomplete.
func TestMerge_ListLacksAnObject_ItStaysKnown(t *testing.T) {
	x, told := lossy()
	list := []resource.Record{rec("a", "x", 3, 950)}
	if some, missing, known := x.Lacks(pods, list, 1); missing != 2 || known != 3 || len(some) != 1 || some[0].Name == "x" {
		t.Errorf("%d of %d missing, among them %v, want 2 of 3 without x", missing, known, some)
	}
	x.Merge(pods, list, 1000)
	if whole := x.Type(pods).Whole; whole != 200 {
		t.Errorf("the last list that proves absence is that of version %d, want 200", whole)
	}
	if diff := cmp.Diff([]string{"a/new", "a/x", "a/y"}, x.Names(pods)); diff != "" {
		t.Errorf("known (-want +got):\n%s", diff)
	}
	if len(told.changes) != 1 || told.changes[0].ID != "a/v1/Pod/x" {
		t.Errorf("told %+v, want the change of x alone", told.changes)
	}
	x.Replace(pods, list, 1001)
	if diff := cmp.Diff([]string{"a/x"}, x.Names(pods)); diff != "" {
		t.Errorf("known after a second list (-want +got):\n%s", diff)
	}
	if whole := x.Type(pods).Whole; whole != 1001 {
		t.Errorf("the last list that proves absence is that of version %d, want 1001", whole)
	}
}
