package typeset_test

import (
	"context"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/access"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/typeset"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// servedTypes is a type set over real watches and a real index, with an API server in memory.
type servedTypes struct {
	t      *testing.T
	server *watchtest.Server
	index  *index.Index
	apply  func(context.Context, discovery.Change)

	mu        sync.Mutex // guards the fields below
	delivered map[resource.Type]bool
	docs      map[resource.ID]bool
	busy      chan struct{} // while not nil, changes of widgets wait for it to be closed
	log       []string      // deletions of documents
}

func newServedTypes(t *testing.T) *servedTypes { return newScopedTypes(t, nil) }

func newScopedTypes(t *testing.T, scopes *access.Scopes) *servedTypes {
	k := &servedTypes{t: t, server: watchtest.New(), index: index.New(nil), delivered: map[resource.Type]bool{}, docs: map[resource.ID]bool{}}
	k.index.Listen(k)
	watches := watch.New(k.server, k.index, watch.Options{})
	k.apply = typeset.New(typeset.Options{
		Scopes: scopes, Watches: watches, Index: k.index, Log: logr.Discard(), Gone: func(resource.Type) {},
		Remembered: func() []resource.Type { return nil },
		Delivered: func(typ resource.Type) bool {
			k.mu.Lock()
			defer k.mu.Unlock()
			return k.delivered[typ]
		},
	}).Apply
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- watches.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return k
}

// Apply implements [index.Listener].
func (k *servedTypes) Apply(c index.Change) {
	k.mu.Lock()
	busy := k.busy
	k.mu.Unlock()
	if busy != nil && !c.Deleted {
		<-busy
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.Deleted {
		delete(k.docs, c.ID)
		k.log = append(k.log, string(c.ID))
	} else {
		k.docs[c.ID] = true
	}
}

func (k *servedTypes) put(t resource.Type, name string) {
	k.server.Put(t.GVR(), metav1.ObjectMeta{Namespace: "a", Name: name})
}

// deliver notes that the objects of a type's first list are delivered.
func (k *servedTypes) deliver(t resource.Type) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.delivered[t] = true
}

// want compares the documents after some time.
func (k *servedTypes) want(ids ...string) {
	k.t.Helper()
	time.Sleep(time.Second)
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	var got []string
	for id := range maps.Keys(k.docs) {
		got = append(got, string(id))
	}
	slices.Sort(got)
	slices.Sort(ids)
	if diff := cmp.Diff(ids, got); diff != "" {
		k.t.Errorf("documents (-want +got):\n%s", diff)
	}
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func change(types ...resource.Type) discovery.Change {
	return discovery.Change{Types: types, Complete: true}
}

func TestATypeThatIsNoLongerWantedKeepsItsDocuments(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newServedTypes(t)
		k.put(widgets("v1"), "w")
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w")
		k.apply(t.Context(), change())
		k.want("a/example.com/v1/Widget/w")
	})
}

// TestARemovedTypeIsForgottenAfterItsWatchHasEnded has a watch in the middle of a call into the index. If the
// type were forgotten before that call ends, the object would come back, and no member would ever delete it.
func TestARemovedTypeIsForgottenAfterItsWatchHasEnded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newServedTypes(t)
		k.put(widgets("v1"), "w")
		k.apply(t.Context(), change(widgets("v1"), pods))
		k.want("a/example.com/v1/Widget/w")
		busy := make(chan struct{})
		k.mu.Lock()
		k.busy = busy
		k.mu.Unlock()
		k.put(widgets("v1"), "late")
		synctest.Wait()
		applied := make(chan struct{})
		go func() {
			defer close(applied)
			k.apply(t.Context(), discovery.Change{Types: []resource.Type{pods}, Removed: []resource.Type{widgets("v1")}, Complete: true})
		}()
		time.Sleep(10 * time.Second)
		select {
		case <-applied:
			t.Error("the type was forgotten while its watch was still telling of it")
		default:
		}
		close(busy)
		<-applied
		k.want()
		if n := k.index.Len(); n != 0 {
			t.Errorf("%d objects of a type that is gone", n)
		}
	})
}

func TestAMigratedTypeIsForgottenOnceItsSuccessorIsDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newServedTypes(t)
		k.put(widgets("v1"), "w")
		k.put(widgets("v2"), "w")
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w")
		k.apply(t.Context(), migrated("v1", "v2"))
		time.Sleep(time.Hour)
		k.want("a/example.com/v1/Widget/w", "a/example.com/v2/Widget/w")
		k.deliver(widgets("v2"))
		k.want("a/example.com/v2/Widget/w")
	})
}

func TestAMigratedTypeStaysWhileItsSuccessorCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newServedTypes(t)
		k.put(widgets("v1"), "w")
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w")
		k.server.Fail(widgets("v2").GVR(), context.DeadlineExceeded)
		k.deliver(widgets("v2")) // no object is undelivered
		k.apply(t.Context(), migrated("v1", "v2"))
		time.Sleep(time.Hour)
		k.want("a/example.com/v1/Widget/w")
		k.server.Fail(widgets("v2").GVR(), nil)
		time.Sleep(10 * time.Minute)
		k.want()
	})
}

// migrated returns a Change in which one version takes the place of another.
func migrated(from, to string) discovery.Change {
	c := change(widgets(to))
	c.Migrated = []discovery.Migration{{Old: widgets(from), New: widgets(to)}}
	return c
}

func TestATypeThatComesBackIsNotForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newServedTypes(t)
		k.put(widgets("v1"), "w")
		k.put(widgets("v2"), "w")
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w")
		k.apply(t.Context(), migrated("v1", "v2"))
		time.Sleep(time.Minute)
		k.apply(t.Context(), migrated("v2", "v1"))
		time.Sleep(time.Minute)
		k.deliver(widgets("v2"))
		k.want("a/example.com/v1/Widget/w", "a/example.com/v2/Widget/w")
		k.deliver(widgets("v1"))
		k.want("a/example.com/v1/Widget/w")
		time.Sleep(time.Hour)
		k.want("a/example.com/v1/Widget/w")
	})
}

// TestAMigrationThatIsOvertaken replaces or removes the successor before it is delivered. If only the successor
// ended, the documents of the first version would stay for ever.
func TestAMigrationThatIsOvertaken(t *testing.T) {
	arrange := func(t *testing.T) *servedTypes {
		k := newServedTypes(t)
		for _, v := range []string{"v1", "v2", "v3"} {
			k.put(widgets(v), "w")
		}
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w")
		k.apply(t.Context(), migrated("v1", "v2"))
		k.want("a/example.com/v1/Widget/w", "a/example.com/v2/Widget/w")
		return k
	}
	t.Run("by a third version", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			k := arrange(t)
			k.apply(t.Context(), migrated("v2", "v3"))
			time.Sleep(time.Hour)
			k.want("a/example.com/v1/Widget/w", "a/example.com/v2/Widget/w", "a/example.com/v3/Widget/w")
			k.deliver(widgets("v3"))
			k.want("a/example.com/v3/Widget/w")
		})
	})
	t.Run("by the end of the type", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			k := arrange(t)
			k.apply(t.Context(), discovery.Change{Removed: []resource.Type{widgets("v2")}, Complete: true})
			k.want()
		})
	})
}

// noRights allow nothing in the whole cluster.
type noRights struct{}

func (noRights) MayReadAll(context.Context) (bool, error)             { return false, nil }
func (noRights) MayRead(context.Context, resource.Type) (bool, error) { return false, nil }

// TestTypesThatAreReadByNamespace: a type is watched in each of the namespaces and nowhere else. Another type
// takes its place slice by slice. If the type ends, all its slices end.
func TestTypesThatAreReadByNamespace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newScopedTypes(t, access.NewScopes(noRights{}, []string{"a", "b"}, nil, logr.Discard()))
		for _, v := range []string{"v1", "v2"} {
			for _, ns := range []string{"a", "b", "c"} {
				k.server.Put(widgets(v).GVR(), metav1.ObjectMeta{Namespace: ns, Name: "w"})
			}
		}
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w", "b/example.com/v1/Widget/w")
		k.apply(t.Context(), migrated("v1", "v2"))
		k.deliver(widgets("v2").In("b"))
		k.want("a/example.com/v1/Widget/w", "a/example.com/v2/Widget/w", "b/example.com/v2/Widget/w")
		k.deliver(widgets("v2").In("a"))
		k.want("a/example.com/v2/Widget/w", "b/example.com/v2/Widget/w")
		k.apply(t.Context(), discovery.Change{Removed: []resource.Type{widgets("v2")}, Complete: true})
		k.want()
	})
}

func TestAMigrationEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newServedTypes(t)
		k.put(widgets("v1"), "w")
		k.put(widgets("v2"), "w")
		k.apply(t.Context(), change(widgets("v1")))
		k.want("a/example.com/v1/Widget/w")
		ctx, cancel := context.WithCancel(t.Context())
		k.apply(ctx, migrated("v1", "v2"))
		time.Sleep(time.Minute)
		cancel()
		synctest.Wait()
		k.deliver(widgets("v2"))
		k.want("a/example.com/v1/Widget/w", "a/example.com/v2/Widget/w")
	})
}
