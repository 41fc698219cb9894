package repair_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// sent is a pipeline that records its calls.
type sent struct {
	deleted []string
	awaited []int
	fail    error
}

func (s *sent) Apply(c index.Change) { s.deleted = append(s.deleted, c.Record.Name) }

func (s *sent) AwaitDeleted(_ context.Context, ids []resource.ID) error {
	s.awaited = append(s.awaited, len(ids))
	return s.fail
}

// deleter makes a deleter over an index that holds a/x and a/hidden; the receiver does not select the latter.
// Objects whose names begin with mine are ours to send.
func deleter(s *sent, hurried *int) *repair.Deleter {
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 5}, {Namespace: "a", Name: "hidden", ResourceVersion: 6}}, 100)
	return &repair.Deleter{
		Index: x, Pipeline: s, Hides: func(_ resource.Type, _, name string) bool { return name == "hidden" },
		Gone:    func(t resource.Type) bool { return t.Resource == "gone" },
		MaySend: func(_ resource.Type, id resource.ID) bool { return strings.Contains(string(id), "/mine") },
		Hurry:   func() { *hurried++ }, Chunk: 2,
	}
}

func TestDeleter_ObjectIsThere_NothingIsDeletedUnlessItIsHidden(t *testing.T) {
	t.Parallel()
	gone, unlisted := resource.Type{Version: "v1", Resource: "gone", Kind: "Gone"}, resource.Type{Version: "v1", Resource: "unlisted", Kind: "Unlisted"}
	for _, tt := range []struct {
		typ     resource.Type
		name    string
		want    bool
		hurried int
	}{{pods, "x", false, 0}, {pods, "hidden", true, 1}, {pods, "y", true, 1}, {pods, "mine", true, 0}, {gone, "y", true, 1}, {unlisted, "y", false, 0}} {
		s, hurried := &sent{}, 0
		got := deleter(s, &hurried).Delete(tt.typ, "a", tt.name, 90, 91)
		if got != tt.want || (len(s.deleted) == 1) != tt.want || hurried != tt.hurried {
			t.Errorf("%s of %s: told %v, deleted %v, hurried %d times; want %v and %d", tt.name, tt.typ, got, s.deleted, hurried, tt.want, tt.hurried)
		}
	}
}

func TestDeleter_SweepOfMany_FewAreUnderWayAtATime(t *testing.T) {
	t.Parallel()
	var gone []guard.Object
	for _, name := range []string{"m1", "m2", "x", "m3", "m4"} {
		gone = append(gone, guard.Object{Namespace: "a", Name: name})
	}
	for end, want := range map[bool][]int{false: {0, 2, 1}, true: {0, 2, 1, 1}} {
		s, hurried := &sent{}, 0
		told, err := deleter(s, &hurried).Sweep(t.Context(), pods, gone, end)
		if err != nil || told != 4 || !slices.Equal(s.awaited, want) {
			t.Errorf("to the end %v: told %d, %v, waited for %v; want 4 and %v: what is there is not deleted", end, told, err, s.awaited, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s, hurried := &sent{fail: context.Canceled}, 0
	if told, err := deleter(s, &hurried).Sweep(ctx, pods, gone, true); told != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("told %d, %v when it is to end", told, err)
	}
}

func TestScope_ObjectIsMeant_ByNamespaceAndOwner(t *testing.T) {
	t.Parallel()
	owned := func(_, name string) bool { return name == "ours" }
	got := map[string]bool{}
	for name, s := range map[string]repair.Scope{
		"all": {}, "one namespace": {Namespace: "a"}, "another": {Namespace: "b"}, "cluster": {Namespace: resource.ClusterNamespace}, "ours": {Owned: owned},
	} {
		got[name+" in a"], got[name+" in none"] = s.Has("a", "x"), s.Has("", "x")
		if s.Whole() != (name == "all") {
			t.Errorf("%s is everything: %v", name, s.Whole())
		}
	}
	want := map[string]bool{
		"all in a": true, "all in none": true, "one namespace in a": true, "one namespace in none": false, "another in a": false, "another in none": false,
		"cluster in a": false, "cluster in none": true, "ours in a": false, "ours in none": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
