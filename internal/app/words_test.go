package app_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
)

// TestWhoeverLeavesTellsOfEveryDeletionThatWaits is a ghost of a storm: an object was created, delivered and deleted between
// two checkpoints; its owner was killed, those who had seen the deletion left one after the other, and the API server was
// started anew. Nobody was left who could know, but their last checkpoints.
func TestWhoeverLeavesTellsOfEveryDeletionThatWaits(t *testing.T) {
	t.Parallel()
	nobody := checkpoint.NewBook("f", ring.DefaultFormat())
	x, leaver := index.New(nil), idle()
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "stays", ResourceVersion: 1, Digest: 1}}, 100)
	defer x.Listen(leaver)()
	x.Upsert(pods, resource.Record{Namespace: "a", Name: "brief", ResourceVersion: 101, Digest: 1})
	x.Delete(pods, "a", "brief", 102)
	list := app.LastWords(leaver, nobody)
	want := checkpoint.Deletions{{Type: "pods.v1", ID: pods.ID("a", "brief"), After: 101, Version: 102}}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Fatalf("last words (-want +got):\n%s", diff)
	}

	later, comer := index.New(nil), idle()
	if app.Take(later, comer, nobody, list) {
		t.Error("taken before it is known what there is")
	}
	later.Replace(pods, []resource.Record{{Namespace: "a", Name: "stays", ResourceVersion: 1, Digest: 1}}, 200)
	if !app.Take(later, comer, nobody, list) {
		t.Error("not taken")
	}
	if diff := cmp.Diff([]string{"brief"}, pending(comer)); diff != "" {
		t.Errorf("whoever comes has to delete (-want +got):\n%s", diff)
	}

	// Once that is delivered, and said to be, the same words move nobody.
	said := checkpoint.NewBook("f", ring.DefaultFormat())
	said.Set("b/all", checkpoint.Checkpoint{
		Member: "b", View: []string{"b"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 300, High: 300, Since: 90}},
	})
	last := idle()
	if !app.Take(later, last, said, list) || len(pending(last)) > 0 {
		t.Errorf("deleted once more: %v", pending(last))
	}
}

func TestLastWordsAreBounded(t *testing.T) {
	t.Parallel()
	x, leaver := index.New(nil), idle()
	var all []resource.Record
	for i := range checkpoint.MaxDeletions + 10 {
		all = append(all, resource.Record{Namespace: "a", Name: fmt.Sprint(i), ResourceVersion: 1, Digest: 1})
	}
	x.Replace(pods, all, 100)
	defer x.Listen(leaver)()
	x.Replace(pods, nil, 200)
	if n := len(app.LastWords(leaver, checkpoint.NewBook("f", ring.DefaultFormat()))); n != checkpoint.MaxDeletions {
		t.Errorf("%d last words, want %d", n, checkpoint.MaxDeletions)
	}
}
