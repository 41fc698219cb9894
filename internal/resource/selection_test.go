package resource_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func selector(t *testing.T, text string) resource.Selection {
	t.Helper()
	s, err := resource.ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return resource.Selection{Selector: s}
}

func labelFilter(t *testing.T, include, exclude []string) resource.LabelFilter {
	t.Helper()
	f, err := resource.NewLabelFilter(include, exclude)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func labelsOf(t *testing.T, r resource.Record) map[string]string {
	t.Helper()
	c, err := r.Body.Content()
	if err != nil {
		t.Fatal(err)
	}
	return c.Labels
}

// TestLabelsThatAreClocksAreNoChange has a GPU node, whose clock is a label: it is not sent, and its change is
// none.
func TestLabelsThatAreClocksAreNoChange(t *testing.T) {
	t.Parallel()
	keep := resource.Selection{Labels: labelFilter(t, nil, resource.DefaultLabelExcludes())}
	node := func(clock string) *metav1.ObjectMeta {
		return &metav1.ObjectMeta{Name: "gpu-1", UID: "u", Labels: map[string]string{
			"kubernetes.io/hostname": "gpu-1", "nvidia.com/gpu.count": "8", "nvidia.com/gfd.timestamp": clock,
			"amd.com/gfd.timestamp": clock, "habana.ai/hfd.timestamp": clock, "lynxi.com/afd.timestamp": clock,
		}}
	}
	before, _ := keep.Record(node("1609384711"))
	after, _ := keep.Record(node("1609384771"))
	if before.Digest != after.Digest {
		t.Error("a clock that ticks is a change")
	}
	want := map[string]string{"kubernetes.io/hostname": "gpu-1", "nvidia.com/gpu.count": "8"}
	if diff := cmp.Diff(want, labelsOf(t, before)); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestLabelFilters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		include, exclude []string
		key              string
		want             bool
	}{
		"nothing said":          {nil, nil, "app", true},
		"included":              {[]string{"app"}, nil, "app", true},
		"not included":          {[]string{"app"}, nil, "tier", false},
		"a glob":                {[]string{"app.kubernetes.io/*"}, nil, "app.kubernetes.io/name", true},
		"a star is no slash":    {[]string{"*"}, nil, "app.kubernetes.io/name", false},
		"excluded wins":         {[]string{"app"}, []string{"a*"}, "app", false},
		"excluded of all":       {nil, []string{"*/token"}, "example.com/token", false},
		"not excluded of all":   {nil, []string{"*/token"}, "token", true},
		"a clock by default":    {nil, resource.DefaultLabelExcludes(), "nvidia.com/gfd.timestamp", false},
		"no clock by its looks": {nil, resource.DefaultLabelExcludes(), "example.com/build.timestamp", true},
	}
	for name, tt := range tests {
		if got := labelFilter(t, tt.include, tt.exclude).Match(tt.key); got != tt.want {
			t.Errorf("%s: %s is kept: %v, want %v", name, tt.key, got, tt.want)
		}
	}
	for _, bad := range []string{"", "["} {
		if _, err := resource.NewLabelFilter([]string{bad}, nil); err == nil {
			t.Errorf("pattern %q is taken", bad)
		}
	}
	f := labelFilter(t, []string{"app", "tier", "x*"}, nil)
	if got := f.Beyond(labelFilter(t, nil, []string{"tier", "xy"})); fmt.Sprint(got) != "[tier]" {
		t.Errorf("asked for in vain: %v, want [tier]", got)
	}
}

func TestExtraLabelsWin(t *testing.T) {
	t.Parallel()
	s := resource.Selection{Extra: map[string]string{"cluster": "prod-eu"}, Labels: labelFilter(t, nil, []string{"c*"})}
	o := &metav1.ObjectMeta{Name: "x", Labels: map[string]string{"cluster": "mine", "app": "x", "color": "red"}}
	r, _ := s.Record(o)
	if diff := cmp.Diff(map[string]string{"cluster": "prod-eu", "app": "x"}, labelsOf(t, r)); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if o.Labels["cluster"] != "mine" || len(o.Labels) != 3 {
		t.Errorf("the object itself was changed: %v", o.Labels)
	}
}

func controlledBy(apiVersion, kind string) *metav1.ObjectMeta {
	return &metav1.ObjectMeta{Name: "x", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: "c"}, {APIVersion: apiVersion, Kind: kind, Name: "o", Controller: new(true)},
	}}
}

func TestSelection_Record_TellsWhetherItIsSelected(t *testing.T) {
	t.Parallel()
	skip := func(include, exclude []string) resource.Selection {
		f, err := resource.NewFilter(include, exclude)
		if err != nil {
			t.Fatal(err)
		}
		return resource.Selection{SkipControlled: true, Types: f}
	}
	annotated := func(value string) *metav1.ObjectMeta {
		return &metav1.ObjectMeta{Name: "x", Annotations: map[string]string{resource.DefaultOptOut: value}}
	}
	optOut := resource.Selection{OptOut: resource.DefaultOptOut}
	plain := &metav1.ObjectMeta{Name: "x", Labels: map[string]string{"team": "shop"}}
	tests := map[string]struct {
		s    resource.Selection
		o    *metav1.ObjectMeta
		want bool
	}{
		"everything":                  {resource.Selection{}, plain, true},
		"matches":                     {selector(t, "team=shop"), plain, true},
		"does not match":              {selector(t, "team in (a,b)"), plain, false},
		"lacks the label":             {selector(t, "!team"), plain, false},
		"opts out":                    {optOut, annotated("true"), false},
		"opts out otherwise spelled":  {optOut, annotated("True"), false},
		"does not opt out":            {optOut, annotated("false"), true},
		"opts out of one receiver":    {optOut, annotated("search"), true},
		"says nothing":                {optOut, annotated(""), true},
		"nobody may opt out":          {resource.Selection{}, annotated("true"), true},
		"controlled":                  {skip(nil, nil), controlledBy("apps/v1", "ReplicaSet"), false},
		"controlled by no watched":    {skip(nil, []string{"replicasets"}), controlledBy("apps/v1", "ReplicaSet"), true},
		"controlled by a listed one":  {skip([]string{"pods", "replicasets.apps"}, nil), controlledBy("apps/v1", "ReplicaSet"), false},
		"controlled by another":       {skip([]string{"pods", "deployments"}, nil), controlledBy("apps/v1", "ReplicaSet"), true},
		"controlled, by its kind":     {skip([]string{"NetworkPolicy"}, nil), controlledBy("networking.k8s.io/v1", "NetworkPolicy"), false},
		"controlled, odd plural":      {skip([]string{"networkpolicies"}, nil), controlledBy("networking.k8s.io/v1", "NetworkPolicy"), false},
		"owned and not controlled":    {skip(nil, nil), &metav1.ObjectMeta{Name: "x", OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node"}}}, true},
		"an owner that makes no type": {skip(nil, nil), controlledBy("a/b/c", "X"), true},
	}
	for name, tt := range tests {
		r, got := tt.s.Record(tt.o)
		if got != tt.want {
			t.Errorf("%s: selected %v, want %v", name, got, tt.want)
		}
		if r.Name != "x" || !got && r.Body != "" {
			t.Errorf("%s: record %+v has no name, or a body that nobody wants", name, r)
		}
	}
	if !optOut.MayHaveLeft(annotated("true")) || skip(nil, nil).MayHaveLeft(controlledBy("apps/v1", "ReplicaSet")) {
		t.Error("a change may have taken an object out by its annotation, and not by its controller")
	}
}

// TestViewIsWhatASelectionOfBothWouldMake checks the promise of View.
func TestViewIsWhatASelectionOfBothWouldMake(t *testing.T) {
	t.Parallel()
	everything, err := resource.NewAnnotationFilter([]string{"*", "*/*"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	process := resource.Selection{Annotations: everything, OptOut: resource.DefaultOptOut, KeepMarks: true, Extra: map[string]string{"cluster": "eu"}}
	views := map[string]func(*resource.Selection){
		"labels":   func(s *resource.Selection) { s.Labels = labelFilter(t, nil, []string{"tier"}) },
		"extra":    func(s *resource.Selection) { s.Extra = map[string]string{"tier": "theirs", "z": "last"} },
		"selector": func(s *resource.Selection) { s.Selector = selector(t, "tier=web").Selector },
		"word":     func(s *resource.Selection) { s.OptOutValue = "search" },
		"skip":     func(s *resource.Selection) { s.SkipControlled = true },
	}
	objects := []*metav1.ObjectMeta{
		{Name: "plain"}, {Name: "web", UID: "u", Labels: map[string]string{"tier": "web", "app": "a"}, Annotations: map[string]string{"description": "d"}},
		{Name: "db", Labels: map[string]string{"tier": "db"}},
		{Name: "out", Annotations: map[string]string{resource.DefaultOptOut: "x, search"}}, controlledBy("apps/v1", "ReplicaSet"),
	}
	for name, change := range views {
		own := resource.Selection{Annotations: everything}
		change(&own)
		both := process
		both.Labels, both.Selector, both.OptOutValue, both.SkipControlled = own.Labels, own.Selector, own.OptOutValue, own.SkipControlled
		for key, value := range own.Extra {
			both.Extra = map[string]string{"cluster": "eu", "tier": "theirs", key: value, "z": "last"}
		}
		for _, o := range objects {
			kept, _ := process.Record(o)
			got, gotSelected := own.View(kept)
			want, wantSelected := both.Record(o)
			got.Marks, want.Marks = nil, nil
			if diff := cmp.Diff(want, got); diff != "" || gotSelected != wantSelected {
				t.Errorf("%s of %s: selected %v, want %v (-want +got):\n%s", name, o.Name, gotSelected, wantSelected, diff)
			}
		}
	}
}

func TestSelectionsThatDifferAreToldApart(t *testing.T) {
	t.Parallel()
	seen := map[string]string{}
	for name, s := range map[string]resource.Selection{
		"none": {}, "labels": {Labels: labelFilter(t, nil, []string{"a"})}, "extra": {Extra: map[string]string{"a": "b"}},
		"selector": selector(t, "a=b"), "optOut": {OptOut: "a"}, "word": {OptOutValue: "a"}, "skip": {SkipControlled: true},
	} {
		if other, twice := seen[s.String()]; twice {
			t.Errorf("%s and %s are both %q", name, other, s)
		}
		seen[s.String()] = name
	}
}

func FuzzSelectors(f *testing.F) {
	f.Add("team=shop,tier!=test", "team", "shop")
	f.Add("env in (a,b)", "", "")
	f.Fuzz(func(t *testing.T, text, key, value string) {
		s, err := resource.ParseSelector(text)
		if err != nil || s == nil {
			return
		}
		again, err := resource.ParseSelector(s.String())
		if err != nil || again != nil && again.String() != s.String() {
			t.Errorf("%q reads back as %v, %v", text, again, err)
		}
		resource.Selection{Selector: s}.Record(&metav1.ObjectMeta{Labels: map[string]string{key: value}})
	})
}
