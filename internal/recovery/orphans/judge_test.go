package orphans_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
)

// listing is one of pods, each namespace/name.
func listing(docs ...orphans.Document) orphans.Listing {
	return orphans.Listing{Kind: orphans.Kind{Kind: "Pod", APIVersion: "v1", Documents: len(docs)}, Documents: docs}
}

// mixed are that many pods that live and that many that are gone.
func mixed(live, gone int) []orphans.Document {
	var docs []orphans.Document
	for i := range gone {
		docs = append(docs, orphans.Document{Namespace: "shop", Name: fmt.Sprintf("gone-%d", i)})
	}
	for i := range live {
		docs = append(docs, orphans.Document{Namespace: "shop", Name: fmt.Sprintf("live-%d", i)})
	}
	return docs
}

func TestJudge(t *testing.T) {
	t.Parallel()
	listed := orphans.State{Type: pods, Listed: true}
	for name, tt := range map[string]struct {
		docs    []orphans.Document
		now     orphans.State
		force   bool
		status  string
		orphans int
		deleted int
	}{
		"nothing is held":                 {nil, listed, false, "compared", 0, 0},
		"all have objects":                {mixed(100, 0), listed, false, "compared", 0, 0},
		"fifty are not held back":         {mixed(0, 50), listed, false, "compared", 50, 50},
		"fifty-one are":                   {mixed(0, 51), listed, false, "guarded", 51, 0},
		"a tenth is not held back":        {mixed(900, 100), listed, false, "compared", 100, 100},
		"more than a tenth is":            {mixed(899, 101), listed, false, "guarded", 101, 0},
		"unless it is forced":             {mixed(0, 500), listed, true, "compared", 500, 500},
		"a kind that is not known":        {mixed(0, 1), orphans.State{}, false, "unknown", 0, 0},
		"not even when forced":            {mixed(0, 1), orphans.State{}, true, "unknown", 0, 0},
		"a type without a list":           {mixed(0, 1), orphans.State{Type: pods, Objects: 5}, true, "unknown", 0, 0},
		"a kind that is served no longer": {mixed(1, 1), orphans.State{Gone: true}, false, "compared", 2, 2},
		"a large one":                     {mixed(51, 0), orphans.State{Gone: true}, false, "guarded", 51, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := orphans.Judge(listing(tt.docs...), present{"Pod v1": tt.now}, tt.force)
			if v.Status.String() != tt.status || v.Orphans != tt.orphans || len(v.Deleted) != tt.deleted {
				t.Errorf("%s, %d orphans, %d deleted; want %s, %d, %d", v.Status, v.Orphans, len(v.Deleted), tt.status, tt.orphans, tt.deleted)
			}
			if v.Listed != len(tt.docs) || v.Limit != max(50, len(tt.docs)/10) {
				t.Errorf("%d listed, limit %d", v.Listed, v.Limit)
			}
		})
	}
}

func TestOrphansHaveTheIdentityUnderWhichTheyWereSent(t *testing.T) {
	t.Parallel()
	now := present{
		"Pod v1":             {Type: pods, Listed: true},
		"Node v1":            {Type: nodes, Listed: true},
		"Deployment apps/v1": {Type: deployments, Listed: true},
		"Old example.com/v1": {Gone: true},
	}
	for name, tt := range map[string]struct {
		kind, apiVersion string
		doc              orphans.Document
		want             []orphans.Orphan
	}{
		"namespaced":     {"Pod", "v1", orphans.Document{Namespace: "shop", Name: "a"}, []orphans.Orphan{{ID: "shop/v1/Pod/a", Namespace: "shop", Name: "a"}}},
		"cluster-scoped": {"Node", "v1", orphans.Document{Namespace: "_cluster", Name: "a"}, []orphans.Orphan{{ID: "_cluster/v1/Node/a", Name: "a"}}},
		"with a group":   {"Deployment", "apps/v1", orphans.Document{Namespace: "shop", Name: "a"}, []orphans.Orphan{{ID: "shop/apps/v1/Deployment/a", Namespace: "shop", Name: "a"}}},
		"of no type":     {"Old", "example.com/v1", orphans.Document{Namespace: "_cluster", Name: "a"}, []orphans.Orphan{{ID: "_cluster/example.com/v1/Old/a", Name: "a"}}},
	} {
		v := orphans.Judge(orphans.Listing{Kind: orphans.Kind{Kind: tt.kind, APIVersion: tt.apiVersion}, Documents: []orphans.Document{tt.doc}}, now, false)
		if diff := cmp.Diff(tt.want, v.Deleted); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Deleting these by their object would delete the document of a living one, or nothing that is ours.
func TestDocumentsOfAnotherIdentityAreLeftAlone(t *testing.T) {
	t.Parallel()
	now := present{"Pod v1": {Type: pods, Listed: true}, "Node v1": {Type: nodes, Listed: true}, "Old v1": {Gone: true}}
	for name, tt := range map[string]struct {
		kind string
		doc  orphans.Document
	}{
		"a cluster-scoped object in a namespace": {"Node", orphans.Document{Namespace: "shop", Name: "gone"}},
		"a namespaced object in none":            {"Pod", orphans.Document{Namespace: "_cluster", Name: "gone"}},
		"a name of two":                          {"Pod", orphans.Document{Namespace: "shop", Name: "go/ne"}},
		"a namespace of three":                   {"Pod", orphans.Document{Namespace: "sh/o/p", Name: "gone"}},
		"a name of three, of no type":            {"Old", orphans.Document{Namespace: "shop", Name: "g/o/ne"}},
	} {
		v := orphans.Judge(orphans.Listing{Kind: orphans.Kind{Kind: tt.kind, APIVersion: "v1"}, Documents: []orphans.Document{tt.doc}}, now, true)
		if v.Odd != 1 || v.Orphans != 0 || v.Deleted != nil {
			t.Errorf("%s: %+v, want that it is odd", name, v)
		}
	}
}

func TestWhatIsNotWatchedIsLeftAlone(t *testing.T) {
	t.Parallel()
	v := orphans.Judge(listing(orphans.Document{Namespace: "hidden", Name: "gone"}), present{"Pod v1": {Type: pods, Listed: true}}, true)
	if v.Unwatched != 1 || v.Orphans != 0 || v.Deleted != nil {
		t.Errorf("judged as %+v", v)
	}
}

func TestAbsenceIsConcludedOnlyFromACompleteList(t *testing.T) {
	t.Parallel()
	l := listing(mixed(3, 1)...)
	now := present{"Pod v1": {Type: pods, Listed: true, Objects: 10}}
	if v := orphans.Judge(l, now, false); v.Unlisted != 7 || v.Orphans != 1 {
		t.Errorf("%d unlisted, %d orphans, want 7 and 1", v.Unlisted, v.Orphans)
	}
	l.Blind = true
	if v := orphans.Judge(l, now, false); v.Unlisted != 0 || v.Orphans != 1 || len(v.Deleted) != 1 || !v.Blind {
		t.Errorf("blind: %+v, want no word of what is not listed, and the orphan that is", v)
	}
}

// partly is a receiver of which one list fails.
type partly struct{ broken error }

func (partly) Kinds(context.Context) ([]orphans.Kind, bool, error) {
	return []orphans.Kind{{Kind: "Node", APIVersion: "v1"}, {Kind: "Pod", APIVersion: "v1"}, {Kind: "Secret", APIVersion: "v1"}}, false, nil
}

func (p partly) List(_ context.Context, k orphans.Kind) (orphans.Listing, error) {
	if k.Kind == "Node" {
		return orphans.Listing{}, p.broken
	}
	return orphans.Listing{Kind: k, Documents: []orphans.Document{{Namespace: "shop", Name: "gone"}}}, nil
}

func TestAKindThatCannotBeListedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	now := present{"Node v1": {Type: nodes, Listed: true}, "Pod v1": {Type: pods, Listed: true}}
	report, err := orphans.Find(t.Context(), partly{broken}, now, orphans.FindOptions{Want: func(k orphans.Kind) bool { return k.Kind != "Secret" }})
	if !errors.Is(err, broken) || len(report.Verdicts) != 1 || len(report.Verdicts[0].Deleted) != 1 || report.Verdicts[0].Type != pods {
		t.Errorf("Find: %+v, %v, want the verdict on pods and the error of nodes", report, err)
	}
}

// A whole pass against the reference receiver.
func TestAPassFindsWhatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post("v1", "Pod", append(many(30, "shop/live-%d"), "shop/gone-1", "shop/gone-2", "hidden/gone")...)
	r.post("v1", "Node", "_cluster/live", "_cluster/gone")
	r.post("example.com/v1", "Old", "shop/live")
	r.post("v1", "Secret", "shop/gone")
	now := present{
		"Pod v1":             {Type: pods, Listed: true, Objects: 31},
		"Node v1":            {Type: nodes, Listed: true, Objects: 1},
		"Old example.com/v1": {Gone: true},
	}
	report, err := orphans.Find(t.Context(), r, now, orphans.FindOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string][]string{}
	for _, v := range report.Verdicts {
		for _, o := range v.Deleted {
			got[v.Status.String()+" "+v.Kind.Kind] = append(got[v.Status.String()+" "+v.Kind.Kind], string(o.ID))
		}
		if v.Kind.Kind == "Pod" && (v.Unlisted != 1 || v.Unwatched != 1) {
			t.Errorf("pods: %+v, want one that is not listed and one that is not watched", v)
		}
	}
	want := map[string][]string{
		"compared Pod":  {"shop/v1/Pod/gone-1", "shop/v1/Pod/gone-2"},
		"compared Node": {"_cluster/v1/Node/gone"},
		"compared Old":  {"shop/example.com/v1/Old/live"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
}
