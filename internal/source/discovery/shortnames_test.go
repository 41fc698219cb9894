package discovery

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientdiscovery "k8s.io/client-go/discovery"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// TestShortNamesOfDefinitionsAreLearned has a filter that names a defined type by its short name. The type is
// watched when the server has told the short name, and stays so while its group does not answer. A short name
// that is another type's name does not count.
func TestShortNamesOfDefinitionsAreLearned(t *testing.T) {
	t.Parallel()
	verbs := []string{"list", "watch"}
	widget := resource.Type{Group: "example.com", Version: "v1", Resource: "widgets", Kind: "Widget", Namespaced: true}
	pods := &metav1.APIResourceList{GroupVersion: "v1", APIResources: []metav1.APIResource{
		{Name: "pods", Kind: "Pod", Namespaced: true, Verbs: verbs, ShortNames: []string{"po"}},
	}}
	widgets := &metav1.APIResourceList{GroupVersion: "example.com/v1", APIResources: []metav1.APIResource{
		{Name: "widgets", Kind: "Widget", Namespaced: true, Verbs: verbs, ShortNames: []string{"wi", "pod"}},
	}}
	version := func(group, version string) *metav1.APIGroup {
		v := metav1.GroupVersionForDiscovery{GroupVersion: schema.GroupVersion{Group: group, Version: version}.String(), Version: version}
		return &metav1.APIGroup{Name: group, Versions: []metav1.GroupVersionForDiscovery{v}, PreferredVersion: v}
	}
	groups := []*metav1.APIGroup{version("", "v1"), version("example.com", "v1")}
	filter, err := resource.NewFilter([]string{"wi"}, []string{"pod"})
	if err != nil {
		t.Fatal(err)
	}
	s := newState(filter, time.Minute, nil)
	now := time.Now()
	c := s.step(newAnswer(groups, []*metav1.APIResourceList{pods, widgets}, nil), evidence{}, now)
	if diff := cmp.Diff([]resource.Type{widget}, c.Types); diff != "" || len(c.Unknown) > 0 {
		t.Errorf("unknown %v, types (-want +got):\n%s", c.Unknown, diff)
	}
	down := &clientdiscovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{{Group: "example.com", Version: "v1"}: errors.New("down")}}
	c = s.step(newAnswer(groups, []*metav1.APIResourceList{pods}, down), evidence{}, now.Add(time.Hour))
	if diff := cmp.Diff([]resource.Type{widget}, c.Types); diff != "" {
		t.Errorf("while the group is down (-want +got):\n%s", diff)
	}
}
