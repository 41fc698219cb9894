package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientdiscovery "k8s.io/client-go/discovery"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// whole is the key of Change.Failed for an error of the whole discovery.
const whole = "*"

var (
	// errNoCore means an answer that no healthy Kubernetes API server gives.
	errNoCore = errors.New("the answer lacks the core group")
	// errEmpty means that a group answered without any resource, although some of its resources are known.
	errEmpty = errors.New("the answer has no resources although some are known")
)

// answer is the result of one discovery.
type answer struct {
	// served has the preferred version of each group-resource that can be listed and watched.
	served map[schema.GroupResource]resource.Type
	// versions has all types that can be listed and watched, at every version that is served.
	versions map[resource.Type]bool
	// named has all group-resources that are served in any way, including those that cannot be watched.
	named map[schema.GroupResource]bool
	// shorts has the short names of each type, by its group-resource as kubectl spells it.
	shorts map[string][]string
	// failed has the error of each group and version that did not answer.
	failed map[schema.GroupVersion]error
	// empty are groups and versions that answered without a resource. Some healthy adapters do so.
	empty []schema.GroupVersion
	// err is the error of the whole discovery; all other fields are empty then.
	err error
}

// newAnswer makes an answer of the results of the discovery client.
func newAnswer(groups []*metav1.APIGroup, lists []*metav1.APIResourceList, err error) answer {
	a := answer{
		served:   map[schema.GroupResource]resource.Type{},
		versions: map[resource.Type]bool{},
		named:    map[schema.GroupResource]bool{},
		failed:   map[schema.GroupVersion]error{},
		shorts:   map[string][]string{},
	}
	if failed, partial := clientdiscovery.GroupDiscoveryFailedErrorGroups(err); partial {
		maps.Copy(a.failed, failed)
	} else if err != nil {
		return answer{err: fmt.Errorf("asking for the served resources: %w", err)}
	}
	byVersion := make(map[string]*metav1.APIResourceList, len(lists))
	for _, l := range lists {
		byVersion[l.GroupVersion] = l
	}
	for _, g := range groups {
		a.add(g, byVersion)
	}
	core := schema.GroupVersion{Version: "v1"}
	if l := byVersion["v1"]; a.failed[core] == nil && (l == nil || len(l.APIResources) == 0) {
		return answer{err: errNoCore}
	}
	return a
}

// add takes the resources of one group, the preferred version first. A resource that exists in several versions
// is taken at the preferred one. A resource that the preferred version lacks is taken at the next version that
// the server names.
func (a *answer) add(g *metav1.APIGroup, lists map[string]*metav1.APIResourceList) {
	versions := slices.Clone(g.Versions)
	slices.SortStableFunc(versions, func(x, y metav1.GroupVersionForDiscovery) int {
		switch g.PreferredVersion.Version {
		case y.Version:
			return 1
		case x.Version:
			return -1
		default:
			return 0
		}
	})
	for _, v := range versions {
		gv := schema.GroupVersion{Group: g.Name, Version: v.Version}
		list := lists[gv.String()]
		if a.failed[gv] != nil {
			continue
		}
		if list == nil || len(list.APIResources) == 0 {
			a.empty = append(a.empty, gv)
			continue
		}
		for i := range list.APIResources {
			a.addResource(gv, &list.APIResources[i])
		}
	}
}

func (a *answer) addResource(gv schema.GroupVersion, r *metav1.APIResource) {
	if strings.Contains(r.Name, "/") { // a subresource
		return
	}
	gr := gv.WithResource(r.Name).GroupResource()
	a.named[gr] = true
	if !slices.Contains(r.Verbs, "list") || !slices.Contains(r.Verbs, "watch") {
		return
	}
	t := resource.Type{Group: gv.Group, Version: gv.Version, Resource: r.Name, Kind: r.Kind, Namespaced: r.Namespaced}
	a.versions[t] = true
	if _, known := a.served[gr]; known {
		return
	}
	a.served[gr] = t
	if len(r.ShortNames) > 0 {
		a.shorts[a.served[gr].GroupResource()] = r.ShortNames
	}
}

// shortNames returns the short names that are not the name of another type.
func (a *answer) shortNames() map[string][]string {
	taken := make(map[string]bool, 2*len(a.served))
	for gr, t := range a.served {
		taken[gr.Resource], taken[strings.ToLower(t.Kind)] = true, true
	}
	free := make(map[string][]string, len(a.shorts))
	for name, shorts := range a.shorts {
		free[name] = slices.DeleteFunc(slices.Clone(shorts), func(short string) bool { return taken[short] })
	}
	return free
}

// types returns the served types, sorted.
func (a *answer) types() []resource.Type {
	return slices.SortedFunc(maps.Values(a.served), resource.CompareTypes)
}
