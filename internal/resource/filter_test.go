package resource_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

var (
	pods        = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	podMetrics  = resource.Type{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods", Kind: "PodMetrics", Namespaced: true}
	deployments = resource.Type{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment", Namespaced: true}
	policies    = resource.Type{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies", Kind: "NetworkPolicy", Namespaced: true}
	widgets     = resource.Type{Group: "example.com", Version: "v1alpha1", Resource: "widgets", Kind: "Widget", Namespaced: true}
	gadgets     = resource.Type{Group: "a.example.com", Version: "v1", Resource: "gadgets", Kind: "Gadget"}
	events      = resource.Type{Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}
	newEvents   = resource.Type{Group: "events.k8s.io", Version: "v1", Resource: "events", Kind: "Event", Namespaced: true}

	served = []resource.Type{pods, podMetrics, deployments, policies, widgets, gadgets, events, newEvents}
)

func newFilter(t *testing.T, include, exclude []string) resource.Filter {
	t.Helper()
	f, err := resource.NewFilter(include, exclude)
	if err != nil {
		t.Fatalf("NewFilter(%q, %q): %v", include, exclude, err)
	}
	return f
}

func matched(f resource.Filter) []string {
	var names []string
	for _, typ := range served {
		if f.Match(typ) {
			names = append(names, typ.String())
		}
	}
	return names
}

func TestFilterMatchesByEveryNameOfAType(t *testing.T) {
	tests := map[string]struct {
		pattern string
		want    []string
	}{
		"plural in any group":              {"pods", []string{"pods.v1", "pods.v1beta1.metrics.k8s.io"}},
		"plural of two groups":             {"events", []string{"events.v1", "events.v1.events.k8s.io"}},
		"case does not count":              {"DePloyMents.APPS", []string{"deployments.v1.apps"}},
		"blanks do not count":              {" deployments ", []string{"deployments.v1.apps"}},
		"with group":                       {"deployments.apps", []string{"deployments.v1.apps"}},
		"with a group of dots":             {"pods.metrics.k8s.io", []string{"pods.v1beta1.metrics.k8s.io"}},
		"with version and group":           {"deployments.v1.apps", []string{"deployments.v1.apps"}},
		"with another version":             {"deployments.v1beta1.apps", nil},
		"version of the core group":        {"pods.v1", []string{"pods.v1"}},
		"the core group by name":           {"pods.core", []string{"pods.v1"}},
		"the core group by name, version":  {"pods.v1.core", []string{"pods.v1"}},
		"kind":                             {"Deployment", []string{"deployments.v1.apps"}},
		"kind in lower case":               {"networkpolicy", []string{"networkpolicies.v1.networking.k8s.io"}},
		"kind with group":                  {"Widget.example.com", []string{"widgets.v1alpha1.example.com"}},
		"kind with version and group":      {"Widget.v1alpha1.example.com", []string{"widgets.v1alpha1.example.com"}},
		"part of a plural is no name":      {"deploym", nil},
		"part of a group is no name":       {"widgets.example", nil},
		"glob of a group":                  {"*.example.com", []string{"widgets.v1alpha1.example.com"}},
		"glob of a group and those below":  {"*.*.example.com", []string{"widgets.v1alpha1.example.com", "gadgets.v1.a.example.com"}},
		"glob within a word":               {"dep*ts", []string{"deployments.v1.apps"}},
		"glob of the core group":           {"*.core", []string{"pods.v1", "events.v1"}},
		"glob does not cross a dot":        {"*io", nil},
		"glob of a plural finds no groups": {"pod*", []string{"pods.v1", "pods.v1beta1.metrics.k8s.io"}},
		"star is everything": {"*", []string{"pods.v1", "pods.v1beta1.metrics.k8s.io", "deployments.v1.apps", "networkpolicies.v1.networking.k8s.io",
			"widgets.v1alpha1.example.com", "gadgets.v1.a.example.com", "events.v1", "events.v1.events.k8s.io"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, matched(newFilter(t, []string{tt.pattern}, nil))); diff != "" {
				t.Errorf("include %q matches (-want +got):\n%s", tt.pattern, diff)
			}
			if tt.pattern == "*" {
				return
			}
			excluding := newFilter(t, nil, []string{tt.pattern})
			for _, typ := range served {
				if in := newFilter(t, []string{tt.pattern}, nil).Match(typ); excluding.Match(typ) == in {
					t.Errorf("%s: matched by include is %v, and so it is by exclude", typ, in)
				}
			}
		})
	}
}

func TestZeroFilterMatchesEverything(t *testing.T) {
	var f resource.Filter
	for _, typ := range served {
		if !f.Match(typ) {
			t.Errorf("Match(%s) = false", typ)
		}
	}
	if unknown := f.Unknown(served); len(unknown) > 0 {
		t.Errorf("Unknown() = %q, want none", unknown)
	}
}

func TestExcludeWins(t *testing.T) {
	f := newFilter(t, []string{"pods", "deployments"}, []string{"pods.metrics.k8s.io"})
	if diff := cmp.Diff([]string{"pods.v1", "deployments.v1.apps"}, matched(f)); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
}

func TestUnknownReportsWhatNamesNothingServed(t *testing.T) {
	tests := map[string]struct {
		include, exclude []string
		served           []resource.Type
		want             []string
	}{
		"as it was written": {[]string{"Deploments", "pods"}, nil, served, []string{"Deploments"}},
		"includes first, each once": {[]string{"a", "pods", "a"}, []string{"b.*", "a"},
			served, []string{"a", "b.*"}},
		"never the default excludes": {nil, []string{"events", "leases", "EndpointSlices"}, []resource.Type{pods}, nil},
		"an exclude that names nothing that is included is known": {
			[]string{"pods"}, []string{"widgets"}, served, nil},
		"everything, when nothing is served": {[]string{"*"}, nil, nil, []string{"*"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := newFilter(t, tt.include, tt.exclude).Unknown(tt.served)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Unknown() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNewFilterRefusesMalformedPatterns(t *testing.T) {
	for _, pattern := range []string{"", " ", ".", "pods.", ".apps", "apps/v1/deployments", "a..b", "[a", `a\`, "dep?", "a,b", "pods v1", "Ünicode"} {
		for side, lists := range map[string][2][]string{"include": {{"pods", pattern}, nil}, "exclude": {nil, {"pods", pattern}}} {
			_, err := resource.NewFilter(lists[0], lists[1])
			if err == nil {
				t.Errorf("NewFilter takes %s %q", side, pattern)
			} else if !strings.Contains(err.Error(), "deployments.apps") {
				t.Errorf("error %q does not say what would be right", err)
			}
		}
	}
}

func TestNewFilterRefusesExcludesThatLeaveNothing(t *testing.T) {
	tests := map[string]struct {
		include, exclude []string
		wantErr          bool
	}{
		"star from everything":             {nil, []string{"pods", "*"}, true},
		"star from a few":                  {[]string{"pods", "deployments.apps"}, []string{"*"}, true},
		"each by one":                      {[]string{"pods", "deployments.apps"}, []string{"pods", "*.apps"}, true},
		"qualified by plain":               {[]string{"deployments.v1.apps"}, []string{"Deployments"}, true},
		"versioned by unversioned":         {[]string{"deployments.v1.apps"}, []string{"deployments.apps"}, true},
		"core by its names":                {[]string{"pods.v1"}, []string{"pods.core"}, true},
		"glob by wider glob":               {[]string{"dep*.apps"}, []string{"d*.apps"}, true},
		"one is left":                      {[]string{"pods", "deployments.apps"}, []string{"pods"}, false},
		"plain is more than qualified":     {[]string{"deployments"}, []string{"deployments.apps"}, false},
		"unversioned more than versioned":  {[]string{"deployments.apps"}, []string{"deployments.v1.apps"}, false},
		"wider glob":                       {[]string{"d*.apps"}, []string{"dep*.apps"}, false},
		"groups below are not the group":   {[]string{"*.*.example.com"}, []string{"*.example.com"}, false},
		"a kind is not covered by a group": {[]string{"Pod"}, []string{"*.core"}, false},
		"defaults":                         {nil, resource.DefaultExcludes(), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := resource.NewFilter(tt.include, tt.exclude); (err != nil) != tt.wantErr {
				t.Errorf("NewFilter(%q, %q) error is %v, want one: %v", tt.include, tt.exclude, err, tt.wantErr)
			}
		})
	}
}

// FuzzFilter compares two lists of patterns with their promises, for every served type. A pattern covers itself,
// and excludes win. Excludes that are refused because they leave nothing do leave nothing. Blanks and case do not
// count.
func FuzzFilter(f *testing.F) {
	for _, seed := range [][2]string{
		{"pods", "events"}, {"*.example.com", "*.*.example.com"}, {"*", "*"}, {"deployments.v1.apps", "Deployment.*"},
		{"networkpolicy", "network*"}, {"pods.v1", "*.core"}, {"pods.core", "pod*.v1"}, {"a..b", "["},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, in, out string) {
		including, err := resource.NewFilter([]string{in}, nil)
		if err != nil {
			t.Skip()
		}
		if _, err := resource.NewFilter([]string{in}, []string{strings.ToUpper(in) + " "}); err == nil {
			t.Errorf("%q does not cover itself", in)
		}
		if _, err := resource.NewFilter([]string{out}, nil); err != nil {
			t.Skip()
		}
		both, err := resource.NewFilter([]string{in}, []string{out})
		outOnly := newFilter(t, []string{out}, nil)
		for _, typ := range served {
			left := including.Match(typ) && !outOnly.Match(typ)
			if err != nil && left {
				t.Errorf("include %q, exclude %q is refused, but leaves %s", in, out, typ)
			}
			if err == nil && both.Match(typ) != left {
				t.Errorf("include %q, exclude %q: Match(%s) = %v, want %v", in, out, typ, !left, left)
			}
		}
	})
}

func BenchmarkFilterMatch(b *testing.B) {
	f, err := resource.NewFilter([]string{"*.example.com", "pods", "deployments.apps"}, resource.DefaultExcludes())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.Match(deployments)
	}
}
