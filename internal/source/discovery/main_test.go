package discovery_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientdiscovery "k8s.io/client-go/discovery"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

func TestMain(m *testing.M) {
	// The second handler delays errors by the time since the last one, process-wide, but a new bubble goes back in
	// time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
	goleak.VerifyTestMain(m, mayLeak...)
}

// mayLeak names goroutines that client-go keeps for the life of the process when it talks to a real server.
var mayLeak []goleak.Option

// served describes an API server: group/version → resources, each "plural Kind". Before the plural, "!" marks
// one that cannot be watched, and "/" a cluster-scoped one. The versions of a group come in the order in which
// they are listed; the first is the preferred one.
type served []version

type version struct {
	gv        string
	resources string // separated by commas
}

// core is a group that every server serves.
var core = version{"v1", "pods Pod, /namespaces Namespace, !bindings Binding, pods/status Pod"}

var (
	podType       = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	namespaceType = resource.Type{Version: "v1", Resource: "namespaces", Kind: "Namespace"}
)

// widget returns the type widgets.example.com at a version.
func widget(version string) resource.Type {
	return resource.Type{Group: "example.com", Version: version, Resource: "widgets", Kind: "Widget", Namespaced: true}
}

func (s served) answer() ([]*metav1.APIGroup, []*metav1.APIResourceList) {
	var (
		groups []*metav1.APIGroup
		lists  []*metav1.APIResourceList
		byName = map[string]*metav1.APIGroup{}
	)
	for _, v := range s {
		gv, err := schema.ParseGroupVersion(v.gv)
		if err != nil {
			panic(err)
		}
		g := byName[gv.Group]
		if g == nil {
			g = &metav1.APIGroup{Name: gv.Group}
			g.PreferredVersion = metav1.GroupVersionForDiscovery{GroupVersion: v.gv, Version: gv.Version}
			byName[gv.Group] = g
			groups = append(groups, g)
		}
		g.Versions = append(g.Versions, metav1.GroupVersionForDiscovery{GroupVersion: v.gv, Version: gv.Version})
		list := &metav1.APIResourceList{GroupVersion: v.gv}
		for text := range strings.SplitSeq(v.resources, ",") {
			plural, kind, ok := strings.Cut(strings.TrimSpace(text), " ")
			if !ok {
				continue
			}
			verbs := metav1.Verbs{"get", "list", "watch"}
			if strings.HasPrefix(plural, "!") {
				plural, verbs = plural[1:], metav1.Verbs{"create"}
			}
			name, cluster := strings.CutPrefix(plural, "/")
			list.APIResources = append(list.APIResources, metav1.APIResource{Name: name, Kind: kind, Namespaced: !cluster, Verbs: verbs})
		}
		lists = append(lists, list)
	}
	return groups, lists
}

// failing returns the error with which client-go reports groups that did not answer.
func failing(err error, gvs ...string) error {
	failed := &clientdiscovery.ErrGroupDiscoveryFailed{Groups: map[schema.GroupVersion]error{}}
	for _, text := range gvs {
		gv, perr := schema.ParseGroupVersion(text)
		if perr != nil {
			panic(perr)
		}
		failed.Groups[gv] = err
	}
	return failed
}

// apiServer answers discovery with the values of its fields.
type apiServer struct {
	clientdiscovery.DiscoveryInterfaces // nil, because no other method is called

	mu     sync.Mutex
	served served
	err    error
	failed map[schema.GroupVersion]error
	asked  int
	during func() // called while an answer is under way
}

func (a *apiServer) set(s served, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.served, a.err, a.failed = s, err, nil
	if failed, ok := clientdiscovery.GroupDiscoveryFailedErrorGroups(err); ok {
		a.err, a.failed = nil, failed
	}
}

func (a *apiServer) times() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.asked
}

func (a *apiServer) hook() func() {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.during
}

// GroupsAndMaybeResourcesWithContext answers aggregated discovery for client-go.
func (a *apiServer) GroupsAndMaybeResourcesWithContext(context.Context) (
	*metav1.APIGroupList, map[schema.GroupVersion]*metav1.APIResourceList, map[schema.GroupVersion]error, error,
) {
	if during := a.hook(); during != nil {
		during()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if a.err != nil {
		return nil, nil, nil, a.err
	}
	groups, lists := a.served.answer()
	list := &metav1.APIGroupList{}
	for _, g := range groups {
		list.Groups = append(list.Groups, *g)
	}
	byVersion := map[schema.GroupVersion]*metav1.APIResourceList{}
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			return nil, nil, nil, err
		}
		byVersion[gv] = l
	}
	return list, byVersion, a.failed, nil
}
