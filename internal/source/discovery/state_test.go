package discovery_test

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
)

var errDown = errors.New("no endpoints")

// step is one discovery of a scenario, and its expected result.
type step struct {
	after       time.Duration // after the step before
	served      served
	err         error
	ev          discovery.Evidence
	wantTypes   []resource.Type
	wantRemoved []resource.Type
	wantMoved   []discovery.Migration
	wantFailed  []string
	wantMissing []resource.Type
}

// both serves the widgets at two versions; the first is preferred.
func both(first, second string) served {
	return served{core, {"example.com/" + first, "widgets Widget"}, {"example.com/" + second, "widgets Widget"}}
}

func TestStep(t *testing.T) {
	t.Parallel()
	var (
		base    = []resource.Type{namespaceType, podType}
		withV1  = []resource.Type{namespaceType, podType, widget("v1")}
		withV2  = []resource.Type{namespaceType, podType, widget("v2")}
		first   = step{served: served{core, {"example.com/v1", "widgets Widget"}}, wantTypes: withV1}
		lacking = served{core}
	)
	for name, tc := range map[string]struct {
		known []resource.Type
		steps []step
	}{
		"subresources and what cannot be watched are left out": {nil, []step{{served: lacking, wantTypes: base}}},
		"the preferred version of each resource": {nil, []step{{
			served: served{core, {"example.com/v2", "widgets Widget"}, {"example.com/v1", "widgets Widget, gadgets Gadget"}},
			wantTypes: []resource.Type{
				namespaceType, podType,
				{Group: "example.com", Version: "v1", Resource: "gadgets", Kind: "Gadget", Namespaced: true}, widget("v2"),
			},
		}}},
		"the next version when the preferred one cannot be watched": {nil, []step{{
			served:    served{core, {"example.com/v2", "!widgets Widget"}, {"example.com/v1", "widgets Widget"}},
			wantTypes: withV1,
		}}},
		"a type is missing until two complete answers, a minute apart, lack it": {nil, []step{
			first,
			{served: lacking, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
			{after: 59 * time.Second, served: lacking, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
			{after: time.Second, served: lacking, wantTypes: base, wantRemoved: []resource.Type{widget("v1")}},
			{after: time.Hour, served: lacking, wantTypes: base},
		}},
		"a type that comes back is not missing": {nil, []step{
			first,
			{served: lacking, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
			{after: time.Minute, served: first.served, wantTypes: withV1},
			{after: time.Minute, served: lacking, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
		}},
		"incomplete answers do not count": {nil, []step{
			first,
			{
				served: lacking, err: failing(errDown, "metrics.k8s.io/v1beta1"), wantTypes: withV1,
				wantFailed: []string{"metrics.k8s.io/v1beta1"}, wantMissing: []resource.Type{widget("v1")},
			},
			{
				after: time.Hour, served: lacking, err: failing(errDown, "metrics.k8s.io/v1beta1"), wantTypes: withV1,
				wantFailed: []string{"metrics.k8s.io/v1beta1"}, wantMissing: []resource.Type{widget("v1")},
			},
			{after: time.Hour, served: lacking, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
		}},
		"a type whose definition is there is kept, however often it is missing": {nil, []step{
			first,
			{served: lacking, ev: discovery.Evidence{CRDs: []string{"widgets.example.com"}}, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
			{after: time.Hour, served: lacking, ev: discovery.Evidence{CRDs: []string{"widgets.example.com"}}, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
		}},
		"a deleted definition is evidence once discovery lacks the type": {nil, []step{
			first,
			{served: first.served, ev: discovery.Evidence{DeletedCRDs: []string{"widgets.example.com"}}, wantTypes: withV1},
			{served: lacking, ev: discovery.Evidence{DeletedCRDs: []string{"widgets.example.com"}}, wantTypes: base, wantRemoved: []resource.Type{widget("v1")}},
		}},
		"a deleted definition is evidence while other groups fail": {nil, []step{
			first,
			{
				served: lacking, err: failing(errDown, "metrics.k8s.io/v1beta1"), ev: discovery.Evidence{DeletedCRDs: []string{"widgets.example.com"}},
				wantTypes: base, wantRemoved: []resource.Type{widget("v1")}, wantFailed: []string{"metrics.k8s.io/v1beta1"},
			},
		}},
		"a deleted definition is no evidence while its group fails": {nil, []step{
			first,
			{
				served: lacking, err: failing(errDown, "example.com/v2"), ev: discovery.Evidence{DeletedCRDs: []string{"widgets.example.com"}},
				wantTypes: withV1, wantFailed: []string{"example.com/v2"}, wantMissing: []resource.Type{widget("v1")},
			},
		}},
		"a definition of another resource is no evidence": {nil, []step{
			first,
			{served: lacking, ev: discovery.Evidence{DeletedCRDs: []string{"gadgets.example.com"}}, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
		}},
		"a deleted APIService is evidence": {nil, []step{
			first,
			{served: lacking, ev: discovery.Evidence{DeletedServices: []string{"v1.example.com"}}, wantTypes: base, wantRemoved: []resource.Type{widget("v1")}},
		}},
		"a deleted APIService is no evidence while the definition is there": {nil, []step{
			first,
			{
				served: lacking, ev: discovery.Evidence{DeletedServices: []string{"v1.example.com"}, CRDs: []string{"widgets.example.com"}},
				wantTypes: withV1, wantMissing: []resource.Type{widget("v1")},
			},
		}},
		"a group that fails keeps what was known": {nil, []step{
			first,
			{served: lacking, err: failing(errDown, "example.com/v1"), wantTypes: withV1, wantFailed: []string{"example.com/v1"}, wantMissing: []resource.Type{widget("v1")}},
			{after: time.Hour, served: lacking, err: failing(errDown, "example.com/v1"), wantTypes: withV1, wantFailed: []string{"example.com/v1"}, wantMissing: []resource.Type{widget("v1")}},
			{after: time.Hour, served: first.served, wantTypes: withV1},
		}},
		"a type is not moved to the version that happens to answer": {nil, []step{
			first,
			{
				served: served{core, {"example.com/v1beta1", "widgets Widget"}}, err: failing(errDown, "example.com/v1"),
				wantTypes: withV1, wantFailed: []string{"example.com/v1"},
			},
		}},
		"a group that fails in one version still brings new types": {nil, []step{
			{
				served: served{core, {"example.com/v1", "widgets Widget"}}, err: failing(errDown, "example.com/v1alpha1"),
				wantTypes: withV1, wantFailed: []string{"example.com/v1alpha1"},
			},
		}},
		"a version that is served no longer is left for the one that is": {nil, []step{
			first,
			{served: both("v2", "v1"), wantTypes: withV1},
			{
				after: time.Second, served: served{core, {"example.com/v2", "widgets Widget"}},
				wantTypes: withV2, wantMoved: []discovery.Migration{{Old: widget("v1"), New: widget("v2")}},
			},
		}},
		"a version that none has preferred for five minutes is left": {nil, []step{
			first,
			{served: both("v2", "v1"), wantTypes: withV1},
			{after: 299 * time.Second, served: both("v2", "v1"), wantTypes: withV1},
			{
				after: time.Second, served: both("v2", "v1"),
				wantTypes: withV2, wantMoved: []discovery.Migration{{Old: widget("v1"), New: widget("v2")}},
			},
		}},
		"a preferred version that flips is not followed": {nil, []step{
			first,
			{served: both("v2", "v1"), wantTypes: withV1},
			{after: 200 * time.Second, served: both("v1", "v2"), wantTypes: withV1},
			{after: 200 * time.Second, served: both("v2", "v1"), wantTypes: withV1},
			{after: 200 * time.Second, served: both("v1", "v2"), wantTypes: withV1},
			{after: 200 * time.Second, served: both("v2", "v1"), wantTypes: withV1},
		}},
		"an answer that is not whole is no reason to leave a version": {nil, []step{
			first,
			{served: both("v2", "v1"), wantTypes: withV1},
			{
				after: time.Hour, served: both("v2", "v1"), err: failing(errDown, "metrics.k8s.io/v1beta1"), wantTypes: withV1,
				wantFailed: []string{"metrics.k8s.io/v1beta1"},
			},
		}},
		"a changed kind is a migration": {nil, []step{
			first,
			{
				served:    served{core, {"example.com/v1", "widgets Gizmo"}},
				wantTypes: []resource.Type{namespaceType, podType, {Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Gizmo", Namespaced: true}},
				wantMoved: []discovery.Migration{{
					Old: widget("v1"), New: resource.Type{Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Gizmo", Namespaced: true},
				}},
			},
		}},
		"an error of everything changes nothing": {nil, []step{
			first,
			{err: errDown, ev: discovery.Evidence{DeletedCRDs: []string{"widgets.example.com"}}, wantTypes: withV1, wantFailed: []string{"*"}},
		}},
		"an empty answer is doubted": {nil, []step{
			first,
			{served: served{}, wantTypes: withV1, wantFailed: []string{"*"}},
			{after: time.Hour, served: served{}, wantTypes: withV1, wantFailed: []string{"*"}},
		}},
		"an answer without the core group is doubted": {nil, []step{
			first,
			{served: first.served[1:], wantTypes: withV1, wantFailed: []string{"*"}},
		}},
		"a core group that fails is one group that fails": {nil, []step{
			first,
			{served: first.served[1:], err: failing(errDown, "v1"), wantTypes: withV1, wantFailed: []string{"v1"}, wantMissing: base},
		}},
		"an empty group of which types are known has failed": {nil, []step{
			first,
			{served: served{core, {"example.com/v1", ""}}, wantTypes: withV1, wantFailed: []string{"example.com/v1"}, wantMissing: []resource.Type{widget("v1")}},
		}},
		"an empty group of which nothing is known is well": {nil, []step{
			{served: served{core, {"custom.metrics.k8s.io/v1beta1", ""}}, wantTypes: base},
		}},
		"what an earlier life knew and is gone is found out": {[]resource.Type{widget("v1")}, []step{
			{served: lacking, wantTypes: withV1, wantMissing: []resource.Type{widget("v1")}},
			{after: time.Minute, served: lacking, wantTypes: base, wantRemoved: []resource.Type{widget("v1")}},
		}},
		"what an earlier life knew and is moved is found out": {[]resource.Type{widget("v1"), widget("v2")}, []step{
			{
				served:    served{core, {"example.com/v2", "widgets Widget"}},
				wantTypes: withV2, wantMoved: []discovery.Migration{{Old: widget("v1"), New: widget("v2")}},
			},
		}},
		"of two names for the same objects one is taken": {nil, []step{{
			served:    served{{"v1", "events Event"}, {"events.k8s.io/v1", "events Event"}},
			wantTypes: []resource.Type{{Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}},
		}}},
		"the other name is moved when the first one appears": {nil, []step{
			{
				served:    served{core, {"extensions/v1beta1", "ingresses Ingress"}},
				wantTypes: []resource.Type{namespaceType, podType, {Group: "extensions", Version: "v1beta1", Resource: "ingresses", Kind: "Ingress", Namespaced: true}},
			},
			{
				served:    served{core, {"extensions/v1beta1", "ingresses Ingress"}, {"networking.k8s.io/v1", "ingresses Ingress"}},
				wantTypes: []resource.Type{namespaceType, podType, {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true}},
				wantMoved: []discovery.Migration{{
					Old: resource.Type{Group: "extensions", Version: "v1beta1", Resource: "ingresses", Kind: "Ingress", Namespaced: true},
					New: resource.Type{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true},
				}},
			},
			{
				served:     served{core, {"extensions/v1beta1", "ingresses Ingress"}},
				err:        failing(errDown, "networking.k8s.io/v1"),
				wantTypes:  []resource.Type{namespaceType, podType, {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true}},
				wantFailed: []string{"networking.k8s.io/v1"},
				wantMissing: []resource.Type{
					{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress", Namespaced: true},
				},
			},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := discovery.NewState(discovery.Everything{}, time.Minute, tc.known...)
			now := time.Unix(1000, 0)
			for i, st := range tc.steps {
				now = now.Add(st.after)
				groups, lists := st.served.answer()
				got := s.Step(groups, lists, st.err, st.ev, now)
				for what, diff := range map[string]string{
					"types":    cmp.Diff(st.wantTypes, got.Types),
					"removed":  cmp.Diff(st.wantRemoved, got.Removed),
					"migrated": cmp.Diff(st.wantMoved, got.Migrated),
					"failed":   cmp.Diff(st.wantFailed, slices.Sorted(maps.Keys(got.Failed)), cmpopts.EquateEmpty()),
					"complete": cmp.Diff(len(st.wantFailed) == 0, got.Complete),
				} {
					if diff != "" {
						t.Errorf("step %d: %s (-want +got):\n%s", i+1, what, diff)
					}
				}
				if !errors.Is(st.err, errDown) && !slices.Equal(st.wantFailed, []string{"*"}) {
					if diff := cmp.Diff(st.wantMissing, s.Missing()); diff != "" {
						t.Errorf("step %d: missing (-want +got):\n%s", i+1, diff)
					}
				}
			}
		})
	}
}

func TestFilterDecidesBeforeAliases(t *testing.T) {
	t.Parallel()
	filter, err := resource.NewFilter([]string{"events.events.k8s.io", "widgits"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := discovery.NewState(filter, time.Minute, podType)
	groups, lists := served{{"v1", "events Event, pods Pod"}, {"events.k8s.io/v1", "events Event"}}.answer()
	got := s.Step(groups, lists, nil, discovery.Evidence{}, time.Unix(1000, 0))
	want := []resource.Type{{Group: "events.k8s.io", Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}}
	if diff := cmp.Diff(want, got.Types); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"widgits"}, got.Unknown); diff != "" {
		t.Errorf("unknown patterns (-want +got):\n%s", diff)
	}
	if len(got.Removed) != 0 {
		t.Errorf("removed %v, want nothing: a type that the filter excludes is not gone", got.Removed)
	}
}

// An alias of an alias would make both vanish.
func TestAliasesAreNotChained(t *testing.T) {
	t.Parallel()
	aliases := discovery.Aliases()
	for from, to := range aliases {
		if next, ok := aliases[to]; ok {
			t.Errorf("%s stands for %s, which stands for %s", from, to, next)
		}
	}
}
