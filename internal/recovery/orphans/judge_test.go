package orphans_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/guard"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/orphans"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// listing is a list of pods, each namespace/name.
func listing(docs ...orphans.Document) orphans.Listing {
	return orphans.Listing{Kind: orphans.Kind{Kind: "Pod", APIVersion: "v1", Documents: len(docs)}, Documents: docs}
}

// mixed are so many living pods and so many that are gone.
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
	for name, tt := range map[string]struct {
		docs    []orphans.Document
		force   bool
		status  guard.Status
		missing int
		deleted int
	}{
		"nothing is held":          {nil, false, guard.Compared, 0, 0},
		"all have objects":         {mixed(100, 0), false, guard.Compared, 0, 0},
		"fifty are not held back":  {mixed(0, 50), false, guard.Compared, 50, 50},
		"fifty-one are":            {mixed(0, 51), false, guard.Guarded, 51, 0},
		"a tenth is not held back": {mixed(900, 100), false, guard.Compared, 100, 100},
		"more than a tenth is":     {mixed(899, 101), false, guard.Guarded, 101, 0},
		"unless it is forced":      {mixed(0, 500), true, guard.Compared, 500, 500},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := judge(listing(tt.docs...), pods, tt.force)
			if v.Status != tt.status || v.Missing != tt.missing || len(v.Deleted) != tt.deleted {
				t.Errorf("%s, %d missing, %d deleted; want %s, %d, %d", v.Status, v.Missing, len(v.Deleted), tt.status, tt.missing, tt.deleted)
			}
			if v.Known != len(tt.docs) || v.Limit != max(50, len(tt.docs)/10) {
				t.Errorf("%d known, limit %d", v.Known, v.Limit)
			}
		})
	}
}

func TestOrphansHaveTheIdentityUnderWhichTheyWereSent(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		of   resource.Type
		doc  orphans.Document
		want guard.Object
	}{
		"namespaced":     {pods, orphans.Document{Namespace: "shop", Name: "a"}, guard.Object{Namespace: "shop", Name: "a"}},
		"cluster-scoped": {nodes, orphans.Document{Namespace: "_cluster", Name: "a"}, guard.Object{Name: "a"}},
		"with a group":   {deployments, orphans.Document{Namespace: "shop", Name: "a"}, guard.Object{Namespace: "shop", Name: "a"}},
	} {
		v := judge(listing(tt.doc), tt.of, false)
		if diff := cmp.Diff([]guard.Object{tt.want}, v.Deleted); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// Deleting these by their object would delete the document of a living object, or another program's.
func TestDocumentsOfAnotherIdentityAreLeftAlone(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		of  resource.Type
		doc orphans.Document
	}{
		"a cluster-scoped object in a namespace": {nodes, orphans.Document{Namespace: "shop", Name: "gone"}},
		"a namespaced object in none":            {pods, orphans.Document{Namespace: "_cluster", Name: "gone"}},
		"a name of two":                          {pods, orphans.Document{Namespace: "shop", Name: "go/ne"}},
		"a namespace of three":                   {pods, orphans.Document{Namespace: "sh/o/p", Name: "gone"}},
		"a name of three":                        {deployments, orphans.Document{Namespace: "shop", Name: "g/o/ne"}},
	} {
		if v := judge(listing(tt.doc), tt.of, true); v.Known != 1 || v.Missing != 0 || v.Deleted != nil {
			t.Errorf("%s: %+v, want that it is odd", name, v)
		}
	}
}

func TestJudge_NamespaceIsNotWatched_LeavesItsDocuments(t *testing.T) {
	t.Parallel()
	if v := judge(listing(orphans.Document{Namespace: "hidden", Name: "gone"}), pods, true); v.Known != 1 || v.Missing != 0 || v.Deleted != nil {
		t.Errorf("judged as %+v", v)
	}
}

func TestAListingThatIsBlindMakesABlindVerdict(t *testing.T) {
	t.Parallel()
	l := listing(mixed(3, 1)...)
	for _, l.Blind = range []bool{false, true} {
		if v := judge(l, pods, false); v.Missing != 1 || len(v.Deleted) != 1 || v.Blind != l.Blind {
			t.Errorf("blind %v: %+v, want the orphan that is seen", l.Blind, v)
		}
	}
}

// TestAPassFindsWhatIsGone runs a whole pass against the reference receiver.
func TestAPassFindsWhatIsGone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.post("v1", "Pod", append(many(30, "shop/live-%d"), "shop/gone-1", "shop/gone-2", "hidden/gone")...)
	r.post("v1", "Node", "_cluster/live", "_cluster/gone")
	for of, want := range map[resource.Type][]guard.Object{
		pods:  {{Namespace: "shop", Name: "gone-1"}, {Namespace: "shop", Name: "gone-2"}},
		nodes: {{Name: "gone"}},
	} {
		l, err := r.List(t.Context(), orphans.Kind{Kind: of.Kind, APIVersion: of.APIVersion()})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, judge(l, of, false).Deleted); diff != "" {
			t.Errorf("deleted of %s (-want +got):\n%s", of, diff)
		}
	}
}
