package discovery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

var (
	crds     = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	services = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	// errNotWatched is the answer to lists and watches of definitions.
	errNotWatched = apierrors.NewForbidden(crds.GroupResource(), "", errors.New("no rule"))
)

// bubble is a Discovery that runs in a synctest bubble.
type bubble struct {
	*discovery.Discovery
	disco  *apiServer        // the types that are served
	server *watchtest.Server // definitions
	mu     sync.Mutex
	told   []discovery.Change
	logged []string
}

// take returns the Changes since the last call.
func (b *bubble) take() []discovery.Change {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	told := b.told
	b.told = nil
	return told
}

func (b *bubble) logs(part string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for _, l := range b.logged {
		if strings.Contains(l, part) {
			n++
		}
	}
	return n
}

func inBubble(t *testing.T, opts discovery.Options, prepare func(*bubble), test func(*testing.T, *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{disco: &apiServer{served: served{core}}, server: watchtest.New()}
		opts.Log = funcr.New(func(prefix, args string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.logged = append(b.logged, args)
		}, funcr.Options{})
		if prepare != nil {
			prepare(b)
		}
		b.Discovery = discovery.New(b.disco, b.server, opts)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			ended <- b.Run(ctx, func(c discovery.Change) {
				b.mu.Lock()
				defer b.mu.Unlock()
				b.told = append(b.told, c)
			})
		}()
		defer func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run returned %v, want nil", err)
			}
		}()
		test(t, b)
	})
}

func one(t *testing.T, changes []discovery.Change) discovery.Change {
	t.Helper()
	if len(changes) != 1 {
		t.Fatalf("told %d changes, want 1: %+v", len(changes), changes)
	}
	return changes[0]
}

func named(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }

var withWidgets = served{core, {"example.com/v1", "widgets Widget"}}

func TestNewDefinitionIsReportedWithinTwoSeconds(t *testing.T) {
	inBubble(t, discovery.Options{}, nil, func(t *testing.T, b *bubble) {
		if diff := cmp.Diff([]resource.Type{namespaceType, podType}, one(t, b.take()).Types); diff != "" {
			t.Fatalf("types (-want +got):\n%s", diff)
		}
		time.Sleep(20 * time.Second)
		b.server.Put(crds, named("widgets.example.com"))
		time.Sleep(900 * time.Millisecond) // the API server serves the type with a delay
		b.disco.set(withWidgets, nil)
		time.Sleep(1100 * time.Millisecond)
		got := one(t, b.take())
		if diff := cmp.Diff([]resource.Type{namespaceType, podType, widget("v1")}, got.Types); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
		if !got.Complete {
			t.Error("the change is not complete, want complete")
		}
	})
}

func TestDeletedDefinitionIsReportedWithinThreeSeconds(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(crds, named("widgets.example.com"))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(20 * time.Second)
		b.server.Delete(crds, "", "widgets.example.com")
		time.Sleep(900 * time.Millisecond)
		b.disco.set(served{core}, nil)
		time.Sleep(2100 * time.Millisecond)
		got := one(t, b.take())
		if diff := cmp.Diff([]resource.Type{widget("v1")}, got.Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]resource.Type{namespaceType, podType}, got.Types); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
	})
}

// I5: a definition's deletion proves something only if a watch saw it before the discovery began.
func TestRecreatedDefinitionIsNoDeletion(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(crds, named("widgets.example.com"))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(20 * time.Second)
		b.server.Delete(crds, "", "widgets.example.com")
		b.server.Put(crds, named("widgets.example.com"))
		b.disco.set(served{core}, nil)
		time.Sleep(time.Hour)
		for _, c := range b.take() {
			if len(c.Removed) > 0 {
				t.Errorf("removed %v although the definition is there", c.Removed)
			}
		}
		if diff := cmp.Diff([]resource.Type{widget("v1")}, b.Status().Missing); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
	})
}

// An APIService has no other definition behind it.
func TestRecreatedServiceIsNoDeletion(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(services, named("v1.example.com"))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(20 * time.Second)
		b.disco.set(served{core}, nil)
		b.server.Delete(services, "", "v1.example.com")
		b.server.Put(services, named("v1.example.com"))
		time.Sleep(30 * time.Second)
		if told := b.take(); len(told) > 0 {
			t.Errorf("told %+v although the APIService is there", told)
		}
	})
}

func TestDeletionIsEvidenceForLaterAnswersOnly(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(crds, named("widgets.example.com"))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(20 * time.Second)
		b.disco.set(served{core}, nil)
		b.disco.mu.Lock()
		b.disco.during = sync.OnceFunc(func() {
			b.server.Delete(crds, "", "widgets.example.com")
			time.Sleep(100 * time.Millisecond)
		})
		b.disco.mu.Unlock()
		before := b.disco.times()
		b.server.Put(crds, named("gadgets.example.com")) // leads to the next discovery
		time.Sleep(310 * time.Millisecond)
		if told := b.take(); len(told) > 0 || b.disco.times() != before+1 {
			t.Errorf("told %+v after %d discoveries, want nothing after one", told, b.disco.times()-before)
		}
		time.Sleep(time.Second)
		if diff := cmp.Diff([]resource.Type{widget("v1")}, one(t, b.take()).Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
	})
}

func TestDeletionDuringABrokenWatchIsFoundByItsNewList(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(crds, named("widgets.example.com"))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(2 * time.Second)
		b.server.Fail(crds, apierrors.NewServiceUnavailable("restarting"))
		b.server.Delete(crds, "", "widgets.example.com")
		b.server.Compact()
		b.disco.set(served{core}, nil)
		time.Sleep(time.Second)
		b.server.Fail(crds, nil)
		time.Sleep(30 * time.Second)
		if diff := cmp.Diff([]resource.Type{widget("v1")}, one(t, b.take()).Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
	})
}

func TestWithoutTheRightToWatchDefinitionsTheTimerFindsThem(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Fail(crds, errNotWatched)
		b.server.Fail(services, errNotWatched)
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		b.disco.set(withWidgets, nil)
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]resource.Type{namespaceType, podType, widget("v1")}, one(t, b.take()).Types); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
		b.disco.set(served{core}, nil)
		time.Sleep(2 * time.Minute)
		if diff := cmp.Diff([]resource.Type{widget("v1")}, one(t, b.take()).Removed); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
		time.Sleep(time.Hour)
		if got := b.logs("cannot be watched"); got != 2 {
			t.Errorf("said %d times that definitions cannot be watched, want once for each of the 2 kinds", got)
		}
		if b.Status().Watching {
			t.Error("status says that definitions are watched")
		}
		b.server.Fail(crds, nil)
		b.server.Fail(services, nil)
		time.Sleep(2 * time.Minute)
		if !b.Status().Watching {
			t.Error("status says that definitions are not watched after the grant")
		}
	})
}

// TestDefinitionsThatMayNotBeReadAreNotAskedFor: without the right, discovery asks for it instead of trying,
// before the first list and after a refused one.
func TestDefinitionsThatMayNotBeReadAreNotAskedFor(t *testing.T) {
	var allowed atomic.Bool
	var asked atomic.Int32
	requests := func(b *bubble) (n int) {
		for _, gvr := range []schema.GroupVersionResource{crds, services} {
			r := b.server.Requests(gvr)
			n += r.Lists + r.Streams + r.Watches
		}
		return n
	}
	inBubble(t, discovery.Options{MayRead: func(_ context.Context, typ resource.Type) (bool, error) {
		asked.Add(1)
		if typ.GVR() != crds && typ.GVR() != services {
			return false, fmt.Errorf("asked about %s", typ)
		}
		return allowed.Load(), nil
	}}, nil, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(time.Hour)
		if n := requests(b); n != 0 || asked.Load() > 40 || b.Status().Watching {
			t.Errorf("%d requests for definitions, %d questions in an hour; watching: %t", n, asked.Load(), b.Status().Watching)
		}
		if got := b.logs("cannot be watched"); got != 2 {
			t.Errorf("said %d times that definitions cannot be watched, want once for each of the 2 kinds", got)
		}
		allowed.Store(true)
		time.Sleep(12 * time.Minute)
		if !b.Status().Watching {
			t.Error("definitions are not watched although they may be")
		}
		before := requests(b)
		allowed.Store(false)
		b.server.Fail(crds, errNotWatched)
		b.server.Fail(services, errNotWatched)
		time.Sleep(time.Hour)
		if n := requests(b) - before; n > 8 {
			t.Errorf("%d requests for definitions in the hour after the right was taken", n)
		}
		b.server.Fail(crds, nil)
		b.server.Fail(services, nil)
		allowed.Store(true)
		time.Sleep(12 * time.Minute)
		if !b.Status().Watching {
			t.Error("definitions are not watched although they may be again")
		}
	})
}

func TestFailingGroupIsAskedForMoreOftenAtFirst(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) { b.disco.set(withWidgets, nil) }, func(t *testing.T, b *bubble) {
		one(t, b.take())
		time.Sleep(2 * time.Second) // the lists of definitions have led to a second discovery
		b.disco.set(served{core}, failing(errDown, "example.com/v1"))
		time.Sleep(60 * time.Second) // the next discovery by the timer
		got := one(t, b.take())
		if got.Complete || !errors.Is(got.Failed["example.com/v1"], errDown) || len(got.Types) != 3 {
			t.Errorf("told %+v, want the failed group and all 3 types", got)
		}
		before, asked := b.disco.times(), []int{}
		for _, d := range []time.Duration{10, 20, 40, 60, 60} {
			time.Sleep(d * time.Second)
			synctest.Wait()
			asked = append(asked, b.disco.times()-before)
		}
		if diff := cmp.Diff([]int{1, 2, 3, 4, 5}, asked); diff != "" {
			t.Errorf("discoveries after 10, 20, 40, 60 and 60 s more (-want +got):\n%s", diff)
		}
		if n := len(b.take()); n != 0 {
			t.Errorf("told %d times the same, want 0", n)
		}
		status := b.Status()
		if len(status.Failed) != 1 || time.Since(status.Failed[0].Since).Round(time.Second) != 191*time.Second {
			t.Errorf("failed groups are %+v, want one since 191 s", status.Failed)
		}
		b.disco.set(withWidgets, nil)
		time.Sleep(time.Minute)
		if got := one(t, b.take()); !got.Complete {
			t.Errorf("told %+v, want that it is complete again", got)
		}
		if got := len(b.Status().Failed); got != 0 {
			t.Errorf("%d groups have failed, want 0", got)
		}
	})
}

func TestManyDefinitionsAreFewDiscoveries(t *testing.T) {
	inBubble(t, discovery.Options{}, nil, func(t *testing.T, b *bubble) {
		time.Sleep(20 * time.Second)
		before := b.disco.times()
		for i := range 100 {
			b.server.Put(crds, named(fmt.Sprintf("r%d.example.com", i)))
			time.Sleep(10 * time.Millisecond) // 1 s in all; no type is ever served
		}
		time.Sleep(20 * time.Second)
		if got := b.disco.times() - before; got < 5 || got > 8 {
			t.Errorf("asked %d times, want one for each second, and 4 more", got)
		}
	})
}

// generation returns a definition whose spec has been written n times.
func generation(name string, n int64) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Generation: n}
}

// TestADefinitionThatIsWrittenAllTheTimeCostsNothing writes a definition, but not its spec, ten times a second
// for half a minute.
func TestADefinitionThatIsWrittenAllTheTimeCostsNothing(t *testing.T) {
	local := metav1.ObjectMeta{Name: "v1.example.com", Labels: map[string]string{"kube-aggregator.kubernetes.io/automanaged": "true"}}
	for name, tc := range map[string]struct {
		gvr    schema.GroupVersionResource
		object metav1.ObjectMeta
		most   int
	}{
		"a CustomResourceDefinition":                   {crds, generation("widgets.example.com", 1), 0},
		"an APIService that the API server has made":   {services, local, 0},
		"an APIService of an aggregated API":           {services, named("v1.metrics.example.org"), 3},
		"a CustomResourceDefinition that never serves": {crds, generation("gadgets.example.com", 1), 7},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, discovery.Options{}, func(b *bubble) {
				b.server.Put(crds, generation("widgets.example.com", 1))
				b.server.Put(tc.gvr, tc.object)
				b.disco.set(withWidgets, nil)
			}, func(t *testing.T, b *bubble) {
				time.Sleep(70 * time.Second) // all is calm, and the timer has run
				before := b.disco.times()
				for range 300 {
					b.server.Put(tc.gvr, tc.object)
					time.Sleep(100 * time.Millisecond)
				}
				if got := b.disco.times() - before; got > tc.most {
					t.Errorf("asked %d times in half a minute, want %d at most", got, tc.most)
				}
				b.server.Put(crds, generation("gizmos.example.com", 1))
				b.disco.set(append(withWidgets, version{"example.com/v2", "gizmos Gizmo"}), nil)
				time.Sleep(2 * time.Second)
				if !strings.Contains(fmt.Sprint(b.Status().Types), "gizmos") {
					t.Error("a new definition beside it is not served after two seconds")
				}
			})
		})
	}
}

// TestASpecThatChangesAllTheTimeIsFollowedMoreAndMoreSeldom writes the spec ten times a second for two minutes.
func TestASpecThatChangesAllTheTimeIsFollowedMoreAndMoreSeldom(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(crds, generation("widgets.example.com", 1))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		time.Sleep(50 * time.Second)
		var asked []int
		before := b.disco.times()
		for i := range int64(1200) {
			b.server.Put(crds, generation("widgets.example.com", i+2))
			time.Sleep(100 * time.Millisecond)
			if (i+1)%300 == 0 {
				asked = append(asked, b.disco.times()-before)
			}
		}
		if asked[0] > 4 || asked[3] > 9 {
			t.Errorf("asked %v times after each half minute, want a handful", asked)
		}
		b.disco.set(served{core, {"example.com/v1", "widgets Widget, gadgets Gadget"}}, nil)
		time.Sleep(time.Minute)
		if n := len(b.Status().Types); n != 4 {
			t.Errorf("%d types a minute after one was added, want 4", n)
		}
	})
}

func TestAggregatedTellsAPIsOfTheirOwn(t *testing.T) {
	inBubble(t, discovery.Options{}, func(b *bubble) {
		b.server.Put(crds, generation("widgets.example.com", 1))
		b.server.Put(services, metav1.ObjectMeta{Name: "v1.example.com", Labels: map[string]string{"kube-aggregator.kubernetes.io/automanaged": "true"}})
		b.server.Put(services, named("v1.metrics.example.org"))
		b.disco.set(withWidgets, nil)
	}, func(t *testing.T, b *bubble) {
		time.Sleep(2 * time.Second)
		for typ, want := range map[resource.Type]bool{
			podType: false, widget("v1"): false,
			{Group: "metrics.example.org", Version: "v1", Resource: "nodes", Kind: "Node"}: true,
			{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}:    false,
		} {
			if got := b.Aggregated(typ); got != want {
				t.Errorf("%s is aggregated: %v, want %v", typ, got, want)
			}
		}
	})
}

func TestFirstFailureTellsWhatWasKnown(t *testing.T) {
	opts := discovery.Options{Known: []resource.Type{widget("v1")}}
	inBubble(t, opts, func(b *bubble) { b.disco.set(nil, errDown) }, func(t *testing.T, b *bubble) {
		got := one(t, b.take())
		if diff := cmp.Diff([]resource.Type{widget("v1")}, got.Types); diff != "" || got.Complete || !errors.Is(got.Failed["*"], errDown) {
			t.Errorf("told %+v, want the known type and the error; types (-want +got):\n%s", got, diff)
		}
		b.disco.set(withWidgets, nil)
		time.Sleep(20 * time.Second)
		if got := one(t, b.take()); !got.Complete || len(got.Types) != 3 {
			t.Errorf("told %+v, want all 3 types", got)
		}
	})
}

func TestChangeBelongsToTheReceiver(t *testing.T) {
	inBubble(t, discovery.Options{}, nil, func(t *testing.T, b *bubble) {
		got := one(t, b.take())
		got.Types[0] = widget("v9")
		clear(got.Failed)
		if diff := cmp.Diff([]resource.Type{namespaceType, podType}, b.Status().Types); diff != "" {
			t.Errorf("types (-want +got):\n%s", diff)
		}
		time.Sleep(time.Hour)
		if n := len(b.take()); n != 0 {
			t.Errorf("told %d changes although nothing has changed", n)
		}
	})
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	inBubble(t, discovery.Options{Registerer: reg}, func(b *bubble) {
		b.disco.set(withWidgets, failing(errDown, "metrics.k8s.io/v1beta1"))
	}, func(t *testing.T, b *bubble) {
		one(t, b.take())
		err := testutil.GatherAndCompare(reg, strings.NewReader(`
# HELP k8s_vectordb_sync_discovery_failed_groups API group versions that cannot be discovered.
# TYPE k8s_vectordb_sync_discovery_failed_groups gauge
k8s_vectordb_sync_discovery_failed_groups 1
# HELP k8s_vectordb_sync_discovery_types Resource types to watch.
# TYPE k8s_vectordb_sync_discovery_types gauge
k8s_vectordb_sync_discovery_types 3
`), "k8s_vectordb_sync_discovery_failed_groups", "k8s_vectordb_sync_discovery_types")
		if err != nil {
			t.Error(err)
		}
	})
}
