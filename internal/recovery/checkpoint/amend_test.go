package checkpoint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// TestStore_Amend_AddsToWhatIsThere and leaves everything else, and its next checkpoint replaces all of it.
func TestStore_Amend_AddsToWhatIsThere(t *testing.T) {
	client := fake.NewClientset()
	process := func() *checkpoint.Store { return store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())) }
	doubt := func(n int, version uint64) checkpoint.Doubt {
		return checkpoint.Doubt{ID: id(n).Hash(), Version: version, Overwritable: true}
	}
	open := func(n int, version uint64) checkpoint.Tombstone {
		return checkpoint.Tombstone{Type: "pods.v1", ID: id(n), Version: version}
	}
	amend := func(s *checkpoint.Store, d checkpoint.Doubt, o checkpoint.Tombstone) {
		t.Helper()
		if err := s.Amend(t.Context(), []checkpoint.Doubt{d}, []checkpoint.Tombstone{o}); err != nil {
			t.Fatal(err)
		}
	}
	s := process()
	amend(s, doubt(1, 5), open(1, 5))
	if all, err := client.CoreV1().ConfigMaps("ns").List(t.Context(), metav1.ListOptions{}); err != nil || len(all.Items) > 0 {
		t.Errorf("where nothing was there is %d, %v", len(all.Items), err)
	}
	earlier := word("a", 10)
	earlier.InDoubt = []checkpoint.Doubt{doubt(1, 7), doubt(2, 7)}
	publish := func(c checkpoint.Checkpoint, beside checkpoint.Beside) {
		t.Helper()
		if err := s.Publish(t.Context(), c, word("a", 10), beside); err != nil {
			t.Fatal(err)
		}
	}
	publish(earlier, checkpoint.Beside{Open: []checkpoint.Tombstone{open(1, 7), open(2, 7)}, Delivered: []uint64{9}, Stats: "stats"})
	s = process() // another one
	amend(s, doubt(1, 12), open(3, 12))
	read := func() *checkpoint.Ledger {
		t.Helper()
		l := checkpoint.NewLedger("f", ring.DefaultFormat())
		if err := store(client, "b", l).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return l
	}
	l := read()
	for n, version := range map[int]uint64{1: 12, 2: 7} {
		if d, ok := l.Doubtful(id(n)); !ok || d.Version != version {
			t.Errorf("of object %d others read %+v, %v, want version %d", n, d, ok, version)
		}
	}
	list := l.Lists()["a"]
	if diff := cmp.Diff([]checkpoint.Tombstone{open(1, 7), open(2, 7), open(3, 12)}, list.Open); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, delivered := list.Delivered[9]; !delivered || !l.Covers("pods.v1", id(4), 10) {
		t.Errorf("of the earlier word there is left: %+v, covered: %v", list, l.Covers("pods.v1", id(4), 10))
	}
	publish(word("a", 20), checkpoint.Beside{})
	if _, doubted := read().Doubtful(id(1)); doubted || len(read().Lists()["a"].Open) > 0 {
		t.Error("the next checkpoint does not replace what was added")
	}
}
