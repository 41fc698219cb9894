package plan

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/api/v1alpha1"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

var secret = resource.Type{Version: "v1", Resource: "secrets", Kind: "Secret", Namespaced: true}

func newPlanner(s *watchtest.Server, opts Options, namespaces ...string) *planner {
	return &planner{
		opts: opts, client: s, lister: watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{}),
		kept:      kept{namespaces: watch.NamespaceFilter{Include: namespaces}},
		receivers: []Receiver{{Name: "default", Format: wire.ClusterWhisperer(), Debounce: time.Second, MaxWait: time.Minute}},
	}
}

// TestPlannerFollowsFromItsList has a stream that breaks in the middle, a type whose history is lost, and a type
// that may not be read. The changes of the first are counted, the second is named, and the third is read namespace
// by namespace.
func TestPlannerFollowsFromItsList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		put := func(ty resource.Type, namespace, name, tick string) {
			s.Put(ty.GVR(), metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u", Labels: map[string]string{"tick": tick}})
		}
		for i := range 1200 {
			put(configMap, "a", fmt.Sprintf("c%d", i), "0")
		}
		put(configMap, "b", "other", "0")
		put(node, "", "n", "0")
		s.Fail(secret.GVR(), apierrors.NewForbidden(secret.GVR().GroupResource(), "", errors.New("no rule")))
		p := newPlanner(s, Options{Watch: time.Minute, Config: config.Config{}}, "a")
		p.begin(discovery.Answer{})
		p.list(t.Context(), []resource.Type{configMap, node, secret})
		put(configMap, "a", "c7", "1") // between the list and the watch

		done := make(chan struct{})
		go func() { // Ends with the minute.
			defer close(done)
			p.watch(t.Context())
		}()
		time.Sleep(10 * time.Second)
		s.EndWatches(configMap.GVR())
		put(configMap, "a", "c7", "2")
		put(configMap, "b", "other", "1")
		s.Fail(node.GVR(), apierrors.NewResourceExpired("too old"))
		s.EndWatches(node.GVR())
		<-done

		r := p.finish()
		one := r.Receivers[0]
		want := []Restless{{ID: "a/v1/ConfigMap/c7", Changes: 2, Embeddings: 2, EmbeddingsPerDay: 2880, Causes: []string{"label tick"}}}
		if diff := cmp.Diff(want, one.Restless); diff != "" {
			t.Errorf("restless (-want +got):\n%s", diff)
		}
		if one.Objects != 1201 || len(one.LeftOut) != 1 || one.LeftOut[0].Objects != 1 {
			t.Errorf("%d objects are sent, and left out are %v, want 1200, the node, and one of the other namespace", one.Objects, one.LeftOut)
		}
		if len(r.Unreadable) != 1 || r.Unreadable[0].Resource != "secrets.v1 in a" || r.Unreadable[0].Reason != "forbidden" {
			t.Errorf("unreadable are %+v", r.Unreadable)
		}
		if len(r.Unwatched) != 1 || r.Unwatched[0].Resource != "nodes.v1" || r.Unwatched[0].Reason != "expired" {
			t.Errorf("not watched to the end are %+v", r.Unwatched)
		}
		if n := s.Requests(configMap.GVR()); n.Lists != 3 {
			t.Errorf("%+v: a list has 3 pages", n)
		}
	})
}

// TestAListThatIsNotAnsweredIsGivenUp has an API that takes requests and never answers.
func TestAListThatIsNotAnsweredIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		s.Put(node.GVR(), metav1.ObjectMeta{Name: "n", UID: "u"})
		s.Hang(configMap.GVR(), true)
		p := newPlanner(s, Options{Watch: time.Minute})
		p.begin(discovery.Answer{})
		began := time.Now()
		p.list(t.Context(), []resource.Type{configMap, node})
		if took := time.Since(began); took > time.Minute {
			t.Errorf("the lists took %v", took)
		}
		p.watch(t.Context())
		r := p.finish()
		if r.Receivers[0].Objects != 1 || len(r.Unreadable) != 1 || r.Unreadable[0].Reason != "unanswered" {
			t.Errorf("%d objects are sent, unreadable are %+v", r.Receivers[0].Objects, r.Unreadable)
		}
	})
}

// TestNarrowedRefusesWhatIsNotServed distinguishes types that do not exist from types that the settings leave out.
func TestNarrowedRefusesWhatIsNotServed(t *testing.T) {
	found := discovery.Answer{Types: []resource.Type{configMap, node}, LeftOut: []resource.Type{secret}}
	if got, err := narrowed(found, []string{"cm"}); err != nil || !cmp.Equal([]resource.Type{configMap}, got) {
		t.Errorf("got %v, %v", got, err)
	}
	for pattern, want := range map[string]string{
		"secrets": "secrets is served, and left out by the settings", "gadgets": "nothing is served by the name of gadgets",
	} {
		if _, err := narrowed(found, []string{pattern}); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
}

// TestDeclaredReceiversTakeThePlaceOfThoseOfTheirName has one object that is to be changed, one that is not, and
// one that is wrong.
func TestDeclaredReceiversTakeThePlaceOfThoseOfTheirName(t *testing.T) {
	named := func(name, endpoint string) Declared {
		return Declared{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
			Spec:       v1alpha1.ResourceSyncConfigSpec{McpEndpoint: endpoint, McpAuthSecretRef: v1alpha1.SecretReference{Name: "s", Key: "k"}, DebounceWindowSeconds: 20},
		}
	}
	all := overlaid([]Declared{named("a", "http://old/"), named("b", "http://b/")}, []Declared{named("a", "ftp://new/")})
	if len(all) != 2 || all[0].name() != "ns.b" || all[1].Spec.McpEndpoint != "ftp://new/" {
		t.Fatalf("planned for are %+v", all)
	}
	r, err := all[0].receiver(nil)
	if err != nil || r.Name != "ns.b" || r.Format.Name() != "dot-ai" || r.Debounce != 20*time.Second || r.MaxWait != 2*time.Minute || r.View == nil {
		t.Errorf("the receiver is %+v, %v", r, err)
	}
	if _, err := all[1].receiver(nil); err == nil {
		t.Error("a receiver by ftp is one")
	}
}

// confined is a cluster that may be read in some namespaces only.
type confined struct {
	*watchtest.Server
	namespaces []string
}

func (c confined) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	return confinedGetter{c.Server.Resource(gvr), gvr, c.namespaces}
}

type confinedGetter struct {
	metadata.Getter
	gvr        schema.GroupVersionResource
	namespaces []string
}

func (g confinedGetter) List(context.Context, metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	return nil, apierrors.NewForbidden(g.gvr.GroupResource(), "", errors.New("no rule"))
}

func (g confinedGetter) Namespace(namespace string) metadata.ResourceInterface {
	if slices.Contains(g.namespaces, namespace) {
		return g.Getter.Namespace(namespace)
	}
	return g // which refuses every request
}

// TestPlannerReadsByNamespaceWithoutRightsInTheCluster has rights in one of two namespaces, and none in the
// cluster.
func TestPlannerReadsByNamespaceWithoutRightsInTheCluster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		put := func(namespace, name, tick string) {
			s.Put(configMap.GVR(), metav1.ObjectMeta{Namespace: namespace, Name: name, UID: "u", Labels: map[string]string{"tick": tick}})
		}
		for _, namespace := range []string{"a", "b", "c"} {
			put(namespace, "m", "0")
		}
		p := newPlanner(s, Options{Watch: time.Minute}, "a", "b")
		p.client = confined{s, []string{"a"}}
		p.lister = watch.NewLister(p.client, resource.Selection{}, watch.NamespaceFilter{})
		p.begin(discovery.Answer{})
		p.list(t.Context(), []resource.Type{configMap, node})
		put("a", "m", "1")
		put("b", "m", "1")
		p.watch(t.Context())
		r := p.finish()
		if one := r.Receivers[0]; one.Objects != 1 || one.PerDay.Embeddings != 1440 || len(one.Types) != 1 || one.Types[0].Namespaces["a"] != 1 {
			t.Errorf("planned are %+v, want the one of namespace a, and its change", one)
		}
		var unreadable []string
		for _, u := range r.Unreadable {
			unreadable = append(unreadable, u.Resource+" "+u.Reason)
		}
		if diff := cmp.Diff([]string{"configmaps.v1 in b forbidden", "nodes.v1 forbidden"}, unreadable); diff != "" {
			t.Errorf("unreadable (-want +got):\n%s", diff)
		}
	})
}
