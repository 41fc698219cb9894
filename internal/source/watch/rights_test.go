package watch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// guarded is a server that refuses requests for types, or for types in a namespace, without a right.
type guarded struct {
	*watchtest.Server

	mu      sync.Mutex // guards the fields below
	allowed map[string]bool
	silent  bool // questions about rights get no answer
	refused int  // requests
	asked   int
}

func (g *guarded) set(name string, allowed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.allowed[name] = allowed
}

func (g *guarded) counts() (refused, asked int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	refused, asked = g.refused, g.asked
	g.refused, g.asked = 0, 0
	return refused, asked
}

// MayRead serves as [watch.Options.MayRead].
func (g *guarded) MayRead(_ context.Context, t resource.Type) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	if g.silent {
		return false, errors.New("no answer")
	}
	return g.allowed[where(t.GVR(), t.Within)], nil
}

func where(gvr schema.GroupVersionResource, namespace string) string {
	if namespace == "" {
		return gvr.Resource
	}
	return gvr.Resource + "@" + namespace
}

// Resource implements [metadata.Interface].
func (g *guarded) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	return guardedGetter{Getter: g.Server.Resource(gvr), g: g, gvr: gvr}
}

type guardedGetter struct {
	metadata.Getter
	g   *guarded
	gvr schema.GroupVersionResource
}

func (c guardedGetter) Namespace(ns string) metadata.ResourceInterface {
	return guardedResource{ResourceInterface: c.Getter.Namespace(ns), g: c.g, gvr: c.gvr, namespace: ns}
}

func (c guardedGetter) List(ctx context.Context, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	return guardedResource{ResourceInterface: c.Getter, g: c.g, gvr: c.gvr}.List(ctx, opts)
}

func (c guardedGetter) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	return guardedResource{ResourceInterface: c.Getter, g: c.g, gvr: c.gvr}.Watch(ctx, opts)
}

type guardedResource struct {
	metadata.ResourceInterface
	g         *guarded
	gvr       schema.GroupVersionResource
	namespace string
}

func (c guardedResource) check() error {
	c.g.mu.Lock()
	defer c.g.mu.Unlock()
	if !c.g.allowed[where(c.gvr, c.namespace)] {
		c.g.refused++
		return apierrors.NewForbidden(c.gvr.GroupResource(), "", errors.New("no rule"))
	}
	return nil
}

func (c guardedResource) List(ctx context.Context, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.ResourceInterface.List(ctx, opts)
}

func (c guardedResource) Watch(ctx context.Context, opts metav1.ListOptions) (apiwatch.Interface, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.ResourceInterface.Watch(ctx, opts)
}

// inRooms runs a test with a Manager whose rights are given by namespace, unless narrow is false.
func inRooms(t *testing.T, narrow bool, allowed []string, types []resource.Type, test func(t *testing.T, g *guarded, m *watch.Manager, s *sink)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{Server: watchtest.New(), allowed: map[string]bool{}}
		for _, name := range allowed {
			g.allowed[name] = true
		}
		for _, ns := range []string{"a", "b"} {
			g.Put(pods.GVR(), meta(ns, "x"))
		}
		g.Put(nodes.GVR(), meta("", "n"))
		s := &sink{}
		m := watch.New(g, s, watch.Options{MayRead: g.MayRead, Narrow: func() bool { return narrow }, Alone: func() bool { return narrow }})
		m.Set(types)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run returned %v, want nil", err)
			}
		}()
		synctest.Wait()
		test(t, g, m, s)
	})
}

func phases(m *watch.Manager) map[string]string {
	all := map[string]string{}
	for _, s := range m.Status() {
		all[s.Type.String()] = s.Phase.String()
	}
	return all
}

func wantPhases(t *testing.T, m *watch.Manager, want map[string]string) {
	t.Helper()
	if got := phases(m); !maps.Equal(got, want) {
		t.Errorf("phases %v, want %v", got, want)
	}
}

func wantLines(t *testing.T, s *sink, typ resource.Type, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, s.take(typ)); diff != "" {
		t.Errorf("of %s (-want +got):\n%s", typ, diff)
	}
}

// TestSlices_EachHasAListAndAStreamOfItsOwn: calls for a slice concern only its namespace, and a new list of one
// slice is no list of another.
func TestSlices_EachHasAListAndAStreamOfItsOwn(t *testing.T) {
	a, b := pods.In("a"), pods.In("b")
	inRooms(t, true, []string{"pods@a", "pods@b"}, []resource.Type{a, b}, func(t *testing.T, g *guarded, m *watch.Manager, s *sink) {
		wantLines(t, s, a, "replace map[a/x:101] at 103")
		wantLines(t, s, b, "replace map[b/x:102] at 103")
		g.Put(pods.GVR(), meta("b", "y"))
		g.Put(pods.GVR(), meta("a", "y"))
		g.Put(pods.GVR(), meta("c", "y"))
		g.Delete(pods.GVR(), "b", "x")
		synctest.Wait()
		wantLines(t, s, a, "upsert a/y at 105 as Pod")
		wantLines(t, s, b, "upsert b/y at 104 as Pod", "delete b/x at 107")
		if err := m.Relist(t.Context(), a); err != nil {
			t.Errorf("Relist returned %v", err)
		}
		wantLines(t, s, a, "replace map[a/x:101 a/y:105] at 107")
		wantLines(t, s, b)
		m.Set([]resource.Type{b})
		if err := m.WaitStopped(t.Context(), a); err != nil {
			t.Errorf("WaitStopped returned %v", err)
		}
		g.Put(pods.GVR(), meta("a", "z"))
		g.Put(pods.GVR(), meta("b", "z"))
		synctest.Wait()
		wantLines(t, s, a)
		wantLines(t, s, b, "upsert b/z at 109 as Pod")
		if refused, asked := g.counts(); refused != 0 || asked > 4 {
			t.Errorf("%d requests were refused, and %d rights asked about", refused, asked)
		}
	})
}

// TestRights_GivenByNamespace_NothingThatIsRefusedIsAskedFor: types that are in no namespace are left out, and
// Settled does not wait for them; a granted right is used.
func TestRights_GivenByNamespace_NothingThatIsRefusedIsAskedFor(t *testing.T) {
	a, b := pods.In("a"), pods.In("b")
	inRooms(t, true, []string{"pods@a"}, []resource.Type{a, b, nodes}, func(t *testing.T, g *guarded, m *watch.Manager, s *sink) {
		wantPhases(t, m, map[string]string{"pods.v1@a": "synced", "pods.v1@b": "failing", "nodes.v1": "unreadable"})
		if !m.Settled() {
			t.Error("a type that may not be read is waited for")
		}
		time.Sleep(time.Hour)
		if refused, asked := g.counts(); refused != 0 || asked > 150 {
			t.Errorf("in an hour %d requests were refused, and %d rights asked about", refused, asked)
		}
		wantLines(t, s, b)
		g.set("pods@b", true)
		time.Sleep(31 * time.Second)
		wantPhases(t, m, map[string]string{"pods.v1@a": "synced", "pods.v1@b": "synced", "nodes.v1": "unreadable"})
		wantLines(t, s, b, "replace map[b/x:102] at 103")
		g.set("nodes", true) // every account may read some types outside namespaces
		time.Sleep(time.Hour)
		wantPhases(t, m, map[string]string{"pods.v1@a": "synced", "pods.v1@b": "synced", "nodes.v1": "unreadable"})
		wantLines(t, s, nodes)
	})
}

// TestRights_AreTaken_NothingIsToldUntilTheyAreGivenAgain: a request that is refused is not repeated, and
// deletes nothing.
func TestRights_AreTaken_NothingIsToldUntilTheyAreGivenAgain(t *testing.T) {
	for _, narrow := range []bool{true, false} {
		t.Run(fmt.Sprintf("by namespace %t", narrow), func(t *testing.T) {
			a := pods.In("a")
			inRooms(t, narrow, []string{"pods@a", "nodes"}, []resource.Type{a, nodes}, func(t *testing.T, g *guarded, m *watch.Manager, s *sink) {
				wantLines(t, s, a, "replace map[a/x:101] at 103")
				if narrow {
					wantLines(t, s, nodes)
				} else {
					wantLines(t, s, nodes, "replace map[/n:103] at 103")
				}
				g.set("pods@a", false)
				g.set("nodes", false)
				for _, typ := range []resource.Type{a, nodes} {
					g.EndWatches(typ.GVR())
				}
				time.Sleep(time.Hour)
				lost := map[bool]string{true: "unreadable", false: "failing"}[narrow]
				wantPhases(t, m, map[string]string{"pods.v1@a": "failing", "nodes.v1": lost})
				if refused, _ := g.counts(); refused < 1 || refused > 6 {
					t.Errorf("%d requests were refused, want one or two of each type", refused)
				}
				wantLines(t, s, a)
				wantLines(t, s, nodes)
				g.Delete(pods.GVR(), "a", "x")
				g.set("pods@a", true)
				g.set("nodes", true)
				time.Sleep(11 * time.Minute)
				wantPhases(t, m, map[string]string{"pods.v1@a": "synced", "nodes.v1": map[bool]string{true: "unreadable", false: "synced"}[narrow]})
				wantLines(t, s, a, "replace map[] at 104")
			})
		})
	}
}

// TestRights_NobodyAnswers_TheRequestIsMade: without an answer about the right, the watch tries.
func TestRights_NobodyAnswers_TheRequestIsMade(t *testing.T) {
	a := pods.In("a")
	inRooms(t, true, []string{"pods@a"}, nil, func(t *testing.T, g *guarded, m *watch.Manager, s *sink) {
		g.mu.Lock()
		g.silent = true
		g.mu.Unlock()
		m.Set([]resource.Type{a})
		synctest.Wait()
		wantPhases(t, m, map[string]string{"pods.v1@a": "synced"})
		wantLines(t, s, a, "replace map[a/x:101] at 103")
	})
}

// TestLister_Slices lists the present, the states, the past and the deletions of a slice. All are of its
// namespace alone.
func TestLister_Slices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &guarded{Server: watchtest.New(), allowed: map[string]bool{"pods@a": true}}
		g.Put(pods.GVR(), meta("a", "x"))
		g.Put(pods.GVR(), meta("b", "x"))
		before := g.Put(pods.GVR(), meta("a", "y"))
		g.Delete(pods.GVR(), "b", "x")
		g.Delete(pods.GVR(), "a", "x")
		g.Bookmark(pods.GVR())
		l := watch.NewLister(g, resource.Selection{}, watch.NamespaceFilter{Include: []string{"a", "b"}})
		slice := pods.In("a")
		var now, states, past, gone []string
		name := func(namespace, name string) string { return namespace + "/" + name }
		take := func(into *[]string) func([]resource.Record) error {
			return func(rs []resource.Record) error {
				for _, r := range rs {
					*into = append(*into, name(r.Namespace, r.Name))
				}
				return nil
			}
		}
		_, err1 := l.Pages(t.Context(), slice, watch.ListOptions{}, take(&now))
		_, err2 := l.Pages(t.Context(), slice, watch.ListOptions{Exact: before}, take(&past))
		_, err3 := l.States(t.Context(), slice, func(_ uint64, all []watch.State) error {
			for _, o := range all {
				states = append(states, name(o.Namespace, o.Name))
			}
			return nil
		})
		err4 := l.Deletions(t.Context(), slice, before, g.Version(), func(d watch.Deletion) { gone = append(gone, name(d.Namespace, d.Name)) })
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		for what, pair := range map[string][2][]string{
			"now": {now, {"a/y"}}, "states": {states, {"a/y"}}, "past": {past, {"a/x", "a/y"}}, "deletions": {gone, {"a/x"}},
		} {
			if diff := cmp.Diff(pair[1], pair[0]); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
		}
		if _, err := l.Pages(t.Context(), slice, watch.ListOptions{Namespace: "b"}, take(&now)); err == nil {
			t.Error("a slice was listed in another namespace")
		}
		if refused, _ := g.counts(); refused != 0 {
			t.Errorf("%d requests were refused", refused)
		}
	})
}
