package watch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func TestStoppedWatchSaysNothingMore(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.Put(pods.GVR(), meta("a", "x")) }, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods, nodes})
		expect(t, b, pods, "replace map[a/x:101] at 101")
		b.Set([]resource.Type{nodes})
		b.server.Put(pods.GVR(), meta("a", "y"))
		b.server.Delete(pods.GVR(), "a", "x")
		if err := b.WaitStopped(t.Context(), pods); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		expect(t, b, pods)
		if got := len(b.Status()); got != 1 {
			t.Errorf("status has %d types, want 1", got)
		}
	})
}

// An event that waits behind a call in progress is not reported after a stop, and delays nothing. client-go
// chooses at random between the next event and the end, hence the rounds.
func TestStopDropsWhatWaitsBehindASlowCall(t *testing.T) {
	for range 20 {
		inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
			b.sink.block = make(chan struct{})
			b.Set([]resource.Type{pods})
			expect(t, b, pods, "replace map[] at 100")
			for _, name := range []string{"x", "y", "z"} {
				b.server.Put(pods.GVR(), meta("a", name))
			}
			synctest.Wait()
			b.Set(nil)
			close(b.sink.block)
			if err := b.WaitStopped(t.Context(), pods); err != nil {
				t.Error(err)
			}
			expect(t, b, pods, "upsert a/x at 101 as Pod")
		})
	}
}

func TestListThatTakesLongGivesItsStartSlotBackWithoutAFailure(t *testing.T) {
	inBubble(t, watch.Options{Starts: 1}, func(s *watchtest.Server) { s.IgnoreStreams(widgets.GVR()) }, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{widgets})
		synctest.Wait()
		b.server.Put(widgets.GVR(), meta("a", "w")) // a sign of life, but no end of the list
		b.Set([]resource.Type{widgets, pods})
		expect(t, b, pods)
		time.Sleep(4 * time.Second)
		if b.Settled() {
			t.Error("Settled while a list is under way")
		}
		time.Sleep(6 * time.Second)
		expect(t, b, pods, "replace map[] at 101")
		if got := statusOf(t, b.Manager, widgets); got.Phase != watch.Listing || got.Failures != 0 {
			t.Errorf("status is %+v, want listing without a failure", got)
		}
		if !b.Settled() {
			t.Error("not Settled 10 s after the last sign of life of a list")
		}
	})
}

// stubborn is a client whose lists do not end with their context.
type stubborn struct {
	metadata.Interface
	release chan struct{}
}

type stubbornGetter struct {
	metadata.Getter
	release chan struct{}
}

func (s stubborn) Resource(gvr schema.GroupVersionResource) metadata.Getter {
	return stubbornGetter{s.Interface.Resource(gvr), s.release}
}

func (g stubbornGetter) Watch(context.Context, metav1.ListOptions) (apiwatch.Interface, error) {
	return nil, unavailable()
}

func (g stubbornGetter) List(context.Context, metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	<-g.release
	return nil, unavailable()
}

func TestRunWaitsForListsThatClientGoHasLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := stubborn{watchtest.New(), make(chan struct{})}
		m := watch.New(client, &sink{}, watch.Options{})
		m.Set([]resource.Type{pods})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if len(ended) > 0 {
			t.Error("Run has ended although a list is under way")
		}
		close(client.release)
		<-ended
	})
}

// A former watch that is in a call of the Sink ends before the next watch of the same type begins.
func TestTypeWantedAgainWaitsForItsFormerWatch(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.sink.block = make(chan struct{})
		b.Set([]resource.Type{widgets})
		expect(t, b, widgets, "replace map[] at 100")
		b.server.Put(widgets.GVR(), meta("a", "x"))
		synctest.Wait() // the call is in progress
		gizmos := widgets
		gizmos.Kind = "Gizmo"
		b.Set([]resource.Type{gizmos})
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.WaitStopped(short, widgets); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("WaitStopped returned %v while a call was in progress, want the end of its context", err)
		}
		if got := statusOf(t, b.Manager, gizmos).Phase; got != watch.Waiting {
			t.Errorf("phase is %s, want waiting", got)
		}
		close(b.sink.block)
		expect(t, b, widgets, "upsert a/x at 101 as Widget", "replace map[a/x:101] at 101")
		b.server.Put(widgets.GVR(), meta("a", "x"))
		expect(t, b, widgets, "upsert a/x at 102 as Gizmo")
		if !b.HasSynced(gizmos) || b.HasSynced(widgets) {
			t.Error("HasSynced speaks of another kind than the one that is wanted")
		}
	})
}

func TestSetWithTheSameTypesChangesNothing(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods, nodes})
		synctest.Wait()
		for range 100 {
			b.Set([]resource.Type{nodes, pods})
		}
		synctest.Wait()
		if got := b.server.Requests(pods.GVR()); got.Streams != 1 {
			t.Errorf("listed %d times, want once", got.Streams)
		}
	})
}

func TestSetBeforeRunStartsWithRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, sink := watchtest.New(), &sink{}
		m := watch.New(server, sink, watch.Options{})
		if m.Settled() {
			t.Error("Settled before Set was called")
		}
		m.Set([]resource.Type{pods, widgets})
		m.Set([]resource.Type{nodes})
		if err := m.WaitStopped(t.Context(), pods); err != nil {
			t.Error(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		synctest.Wait()
		if got := sink.take(nodes); len(got) != 1 {
			t.Errorf("the Sink was told %v, want one list", got)
		}
		cancel()
		<-ended
		server.Put(nodes.GVR(), meta("", "n"))
		m.Set([]resource.Type{pods})
		synctest.Wait()
		if got := sink.take(nodes); len(got) != 0 {
			t.Errorf("the Sink was told %v after the end of Run", got)
		}
	})
}

// client-go's Reflector waits out its backoff without looking at its context.
func TestRunEndsAtOnceWhileTheServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := watchtest.New()
		server.Fail(pods.GVR(), refused())
		m := watch.New(server, &sink{}, watch.Options{})
		m.Set([]resource.Type{pods})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- m.Run(ctx) }()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		before := time.Now()
		cancel()
		<-ended
		if d := time.Since(before); d != 0 {
			t.Errorf("Run ended after %s, want at once", d)
		}
	})
}

func TestLargeTypesListAlone(t *testing.T) {
	opts := watch.Options{Starts: 2, Large: func(typ resource.Type) bool { return typ == pods }}
	inBubble(t, opts, func(s *watchtest.Server) {
		for _, typ := range []resource.Type{pods, widgets, nodes} {
			s.Hang(typ.GVR(), true)
		}
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		synctest.Wait()
		b.Set([]resource.Type{pods, widgets, nodes})
		synctest.Wait()
		for _, typ := range []resource.Type{widgets, nodes} {
			if got := statusOf(t, b.Manager, typ).Phase; got != watch.Waiting {
				t.Errorf("%s is %s, want waiting", typ, got)
			}
		}
		b.server.Hang(pods.GVR(), false)
		synctest.Wait()
		for _, typ := range []resource.Type{widgets, nodes} {
			if got := statusOf(t, b.Manager, typ).Phase; got != watch.Listing {
				t.Errorf("%s is %s, want listing", typ, got)
			}
		}
	})
}
