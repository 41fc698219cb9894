package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// holder is a receiver that holds documents of pods.
type holder struct {
	documents []string // namespace/name
	blind     bool
	fail      error
	meanwhile func() // happens while it makes its list
	asked     int
}

func (h *holder) Kinds(context.Context) ([]orphans.Kind, bool, error) {
	h.asked++
	return []orphans.Kind{{Kind: "Pod", APIVersion: "v1", Documents: len(h.documents)}, {Kind: "Node", APIVersion: "v1", Documents: 3}}, h.blind, h.fail
}

func (h *holder) List(_ context.Context, k orphans.Kind) (orphans.Listing, error) {
	l := orphans.Listing{Kind: k}
	for _, d := range h.documents {
		namespace, name, _ := strings.Cut(d, "/")
		l.Documents = append(l.Documents, orphans.Document{Namespace: namespace, Name: name})
	}
	if h.meanwhile != nil {
		h.meanwhile()
	}
	return l, nil
}

// asking is an orphan finder of pods over an index that holds a/x and b/y.
type asking struct {
	app.OrphanFinder
	holder  *holder
	index   *index.Index
	well    bool
	pending []string
	deleted []string
}

func newAsking(documents ...string) *asking {
	a := &asking{holder: &holder{documents: documents}, index: index.New(nil), well: true}
	a.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}, {Namespace: "b", Name: "y", ResourceVersion: 6}}, 100)
	a.OrphanFinder = app.NewOrphanFinder(a.holder, a.index, func() bool { return a.well }, func(f func(namespace, name string)) {
		for _, p := range a.pending {
			namespace, name, _ := strings.Cut(p, "/")
			f(namespace, name)
		}
	}, func(namespace, name string) { a.deleted = append(a.deleted, namespace+"/"+name) })
	return a
}

func many(n int) []string {
	all := []string{"a/x", "b/y"}
	for i := range n {
		all = append(all, fmt.Sprintf("%c/m%02d", 'a'+i%2, i))
	}
	return all
}

func TestDocumentsWithoutAnObjectAreDeleted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		documents []string
		prepare   func(a *asking)
		namespace string
		force     bool
		want      []string
		repair    operations.Repair
		held      int
	}{
		"none":                  {[]string{"a/x", "b/y"}, nil, "", false, nil, operations.Repair{}, 0},
		"one of each namespace": {[]string{"a/x", "b/y", "a/o", "b/p"}, nil, "", false, []string{"a/o", "b/p"}, operations.Repair{Deleted: 2}, 0},
		"only in one namespace": {[]string{"a/x", "b/y", "a/o", "b/p"}, nil, "b", false, []string{"b/p"}, operations.Repair{Deleted: 1}, 0},
		"nobody wants it there": {[]string{"unwanted/o"}, nil, "", false, nil, operations.Repair{}, 0},
		"it is not to have one": {[]string{"a/x", "a/hidden"}, func(a *asking) {
			a.index.Upsert(pods, resource.Record{Namespace: "a", Name: "hidden", ResourceVersion: 101})
		}, "", false, []string{"a/hidden"}, operations.Repair{Deleted: 1}, 0},
		"more than may be unasked":     {many(60), nil, "", false, nil, operations.Repair{Held: 60}, 60},
		"as many, at a person's word":  {many(51), nil, "", true, many(51)[2:], operations.Repair{Deleted: 51}, 0},
		"a deletion is on its way":     {[]string{"a/o"}, func(a *asking) { a.pending = []string{"a/o"} }, "", false, nil, operations.Repair{}, 0},
		"deleted while it was listing": {[]string{"a/x", "a/o"}, func(a *asking) { a.holder.meanwhile = a.lose }, "", false, []string{"a/o"}, operations.Repair{Deleted: 1}, 0},
		"created while it was listing": {[]string{"a/new"}, func(a *asking) {
			a.holder.meanwhile = func() { a.index.Upsert(pods, resource.Record{Namespace: "a", Name: "new", ResourceVersion: 101}) }
		}, "", false, nil, operations.Repair{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAsking(tt.documents...)
			if tt.prepare != nil {
				tt.prepare(a)
			}
			got, blind, err := a.Repair(t.Context(), pods, tt.namespace, tt.force)
			if err != nil || blind || got != tt.repair {
				t.Errorf("repaired %+v, blind %v, %v; want %+v", got, blind, err, tt.repair)
			}
			slices.Sort(a.deleted)
			slices.Sort(tt.want)
			if diff := cmp.Diff(tt.want, a.deleted); diff != "" {
				t.Errorf("deleted (-want +got):\n%s", diff)
			}
			if n := a.Held(pods); n != tt.held {
				t.Errorf("%d are held back, want %d", n, tt.held)
			}
		})
	}
}

// lose deletes a/x as the watch does.
func (a *asking) lose() {
	a.index.Delete(pods, "a", "x", 101)
	a.Applied(index.Change{Type: pods, ID: pods.ID("a", "x"), Deleted: true, Record: resource.Record{Namespace: "a", Name: "x"}})
}

func TestNothingIsAskedOfATypeThatIsNotWatched(t *testing.T) {
	t.Parallel()
	a := newAsking("a/o")
	a.well = false
	if _, _, err := a.Repair(t.Context(), pods, "", true); err == nil || a.holder.asked > 0 {
		t.Errorf("error %v, asked %d times", err, a.holder.asked)
	}
	a.well = true
	a.holder.meanwhile = func() { a.well = false }
	if _, _, err := a.Repair(t.Context(), pods, "", true); err == nil || len(a.deleted) > 0 {
		t.Errorf("its watch broke in the middle: error %v, deleted %v", err, a.deleted)
	}
}

func TestAReceiverThatCannotBeAskedIsLeftAlone(t *testing.T) {
	t.Parallel()
	a := newAsking("a/o")
	a.holder.fail = errors.New("HTTP 503")
	for range 3 {
		if _, _, err := a.Repair(t.Context(), pods, "", false); err == nil {
			t.Error("it seems to have answered")
		}
	}
	if a.holder.asked != 1 {
		t.Errorf("it was asked %d times at once, want once", a.holder.asked)
	}
}

func TestWhatIsHeldBackIsLetGoByParts(t *testing.T) {
	t.Parallel()
	a := newAsking(many(60)...)
	if _, _, err := a.Repair(t.Context(), pods, "", false); err != nil || a.Held(pods) != 60 {
		t.Fatalf("%d are held back, %v, want 60", a.Held(pods), err)
	}
	if got, _, err := a.Repair(t.Context(), pods, "a", true); err != nil || got.Deleted != 30 || a.Held(pods) != 30 {
		t.Errorf("of one namespace %+v, %v; %d are held back, want 30", got, err, a.Held(pods))
	}
	a.holder.documents = slices.DeleteFunc(a.holder.documents, func(d string) bool { return strings.HasPrefix(d, "a/m") })
	if got, _, err := a.Repair(t.Context(), pods, "", true); err != nil || got.Deleted != 30 || a.Held(pods) != 0 {
		t.Errorf("of the rest %+v, %v; %d are held back, want none", got, err, a.Held(pods))
	}
}

func TestAReceiverThatListsAPartIsBlind(t *testing.T) {
	t.Parallel()
	a := newAsking("a/o")
	a.holder.blind = true
	if got, blind, err := a.Repair(t.Context(), pods, "", false); err != nil || !blind || got.Deleted != 1 {
		t.Errorf("%+v, blind %v, %v; want that what is listed is judged, and that there may be more", got, blind, err)
	}
}
