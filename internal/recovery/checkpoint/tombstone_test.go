package checkpoint_test

import (
	"context"
	"math"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

func TestANameTellsDeletionsOfOneObjectApart(t *testing.T) {
	t.Parallel()
	names := make(map[uint64]string)
	for what, tombstone := range map[string]checkpoint.Tombstone{
		"a deletion":                   {ID: id(1), Version: 7},
		"a later one":                  {ID: id(1), Version: 8},
		"an object that lives":         {ID: id(1), Version: 7, Lives: true},
		"a state that was lost":        {ID: id(1), Version: 7, Digest: 8, Lives: true, Lost: true},
		"of another object":            {ID: id(2), Version: 7},
		"versions are no numbers":      {ID: id(1), Digest: 7},
		"of another state":             {ID: id(1), Digest: 8},
		"of a state that is not known": {ID: id(1)},
		"at the last version":          {ID: id(1), Version: math.MaxUint64},
	} {
		if other, taken := names[tombstone.Name()]; taken {
			t.Errorf("%q and %q have one name", what, other)
		}
		names[tombstone.Name()] = what
	}
	lost := checkpoint.Tombstone{ID: id(1), Version: 9, Digest: 8, Lives: true, Lost: true}
	if names[lost.Name()] != "a state that was lost" {
		t.Error("by another list, a state that was lost has another name")
	}
	if (checkpoint.Tombstone{Type: "a.v1", ID: id(1), Version: 7, Digest: 1}).Name() != checkpoint.Name(id(1), 7, 0) {
		t.Error("where there is a version, the name depends on more than that")
	}
}

// TestTombstones_OneMemberNames_OthersRead holds for our own name, too: an earlier incarnation has left
// tombstones, and our first checkpoint replaces its checkpoint.
func TestTombstones_OneMemberNames_OthersRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		open := []checkpoint.Tombstone{{Type: "pods.v1", ID: id(1), Version: 50}, {Type: "odd.v1", ID: id(2), Digest: 3}, {Type: "pods.v1", ID: id(3), Version: 51, Lives: true}}
		beside := checkpoint.Beside{Open: open, Delivered: []uint64{9, 7}, Stats: "stats"}
		if err := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), word("a", 40), word("a", 40), beside); err != nil {
			t.Fatal(err)
		}
		ledgers := map[string]*checkpoint.Ledger{}
		stores := map[string]*checkpoint.Store{}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for _, reader := range []string{"a", "b"} {
			ledgers[reader] = checkpoint.NewLedger("f", ring.DefaultFormat())
			s := store(client, reader, ledgers[reader])
			stores[reader] = s
			go func() { _ = s.Run(ctx) }()
		}
		synctest.Wait()
		want := checkpoint.List{Open: open, Delivered: map[uint64]struct{}{7: {}, 9: {}}, Sum: ledgers["b"].Lists()["a"].Sum}
		if diff := cmp.Diff([]checkpoint.List{want, want}, []checkpoint.List{ledgers["b"].Lists()["a"], stores["a"].Left()}); diff != "" {
			t.Errorf("read (-want +got):\n%s", diff)
		}
		if !ledgers["b"].Delivered(7) || ledgers["b"].Delivered(8) || ledgers["a"].Delivered(7) || ledgers["b"].Stats()["a"] != "stats" || len(ledgers["a"].Stats()) > 0 {
			t.Error("another names 7 and 9, and we name nothing")
		}
		if err := stores["a"].Publish(ctx, word("a", 60), word("a", 60), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if ledgers["b"].Delivered(7) || len(ledgers["b"].Lists()["a"].Open) > 0 || len(stores["a"].Left().Open) != 3 {
			t.Error("what is named no more is still read, or what was left is forgotten")
		}
	})
}

// TestTombstones_DeliveredOfAMemberThatLeft_AreRemoved once it is delivered, unless the member has written another
// list since.
func TestTombstones_DeliveredOfAMemberThatLeft_AreRemoved(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	gone := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
	us := store(client, "b", checkpoint.NewLedger("f", ring.DefaultFormat()))
	read := func() (open int, sum string, covers bool) {
		t.Helper()
		ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
		if err := store(client, "reader", ledger).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		l := ledger.Lists()["a"]
		return len(l.Open), l.Sum, ledger.Covers("pods.v1", id(1), 40)
	}
	if err := gone.Publish(t.Context(), word("a", 40), word("a", 40), checkpoint.Beside{Open: []checkpoint.Tombstone{{Type: "pods.v1", ID: id(1), Version: 50}, {Type: "pods.v1", ID: id(2), Version: 50, Lives: true}}}); err != nil {
		t.Fatal(err)
	}
	_, sum, _ := read()
	for _, tt := range []struct {
		member, sum string
		want        int
	}{{"a", "another", 2}, {"nobody", sum, 2}, {"a", sum, 0}, {"a", sum, 0}} {
		if err := us.Strike(t.Context(), tt.member, tt.sum); err != nil {
			t.Fatal(err)
		}
		if open, _, covers := read(); open != tt.want || !covers {
			t.Errorf("after %+v %d are open; its checkpoint is believed: %v", tt, open, covers)
		}
	}
}
