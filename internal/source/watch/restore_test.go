package watch_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/reflector"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// TestAVersionOfTheFutureIsNotWaitedFor restores etcd. The next watch would be silent until the revision has
// caught up.
func TestAVersionOfTheFutureIsNotWaitedFor(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.Put(pods.GVR(), meta("a", "x")) }, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[a/x:101] at 101")
		for range 50 {
			b.server.Put(pods.GVR(), meta("a", "lost"))
		}
		synctest.Wait()
		b.sink.take(pods)
		b.server.Restore(101)
		b.server.Put(pods.GVR(), meta("a", "new"))
		time.Sleep(5 * time.Second)
		expect(t, b, pods, "replace map[a/new:102 a/x:101] at 102")
		b.server.Put(pods.GVR(), meta("a", "after"))
		expect(t, b, pods, "upsert a/after at 103 as Pod")
	})
}

// TestAWatchThatEndedEarlyGoesOnAfterALookAtTheVersion wants no new list without a restore.
func TestAWatchThatEndedEarlyGoesOnAfterALookAtTheVersion(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		time.Sleep(time.Minute)
		b.server.EndWatches(pods.GVR())
		b.server.Put(pods.GVR(), meta("a", "x"))
		expect(t, b, pods, "upsert a/x at 101 as Pod")
		if diff := cmp.Diff(watchtest.Requests{Lists: 1, Streams: 1, Watches: 1}, b.server.Requests(pods.GVR())); diff != "" {
			t.Errorf("requests, of which the list is of one object, for its version (-want +got):\n%s", diff)
		}
	})
}

func TestAStreamedListWithoutAnEndGivesWayToAPagedOne(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.IgnoreStreams(widgets.GVR()) }, func(t *testing.T, b *bubble) {
		b.server.Put(widgets.GVR(), meta("a", "w"))
		b.Set([]resource.Type{widgets})
		time.Sleep(reflector.ListWithin - time.Second)
		expect(t, b, widgets)
		if !b.Settled() {
			t.Error("not Settled: a list whose end does not come keeps everybody waiting")
		}
		time.Sleep(2 * time.Second)
		expect(t, b, widgets, "replace map[a/w:101] at 101")
	})
}

// TestTypesThatHangDelayTheOthersBySeconds has 40 of 60 types hang, each of which would hold a start slot.
func TestTypesThatHangDelayTheOthersBySeconds(t *testing.T) {
	var types []resource.Type
	hang := func(i int) bool { return i%3 != 0 }
	for i := range 60 {
		types = append(types, resource.Type{Group: "example.com", Version: "v1", Resource: fmt.Sprintf("kind%02d", i), Kind: "Kind"})
	}
	inBubble(t, watch.Options{}, func(s *watchtest.Server) {
		for i, typ := range types {
			s.Hang(typ.GVR(), hang(i))
		}
	}, func(t *testing.T, b *bubble) {
		b.Set(types)
		time.Sleep(5 * time.Second)
		for i, typ := range types {
			if b.HasSynced(typ) == hang(i) {
				t.Errorf("%s synced after 5 s: %v, hangs: %v", typ, b.HasSynced(typ), hang(i))
			}
		}
		time.Sleep(10 * time.Second)
		if !b.Settled() {
			t.Error("not Settled after 15 s")
		}
		b.server.Hang(types[1].GVR(), false)
		time.Sleep(reflector.ListWithin)
		if !b.HasSynced(types[1]) {
			t.Error("a type that answers again is not synced")
		}
	})
}

// indexed runs a test with a Manager over a server in memory that reports to an index.
func indexed(t *testing.T, opts watch.Options, test func(t *testing.T, m *watch.Manager, s *watchtest.Server, x *index.Index)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, x := watchtest.New(), index.New(nil)
		for i := range 20 {
			s.Put(pods.GVR(), meta("a", fmt.Sprintf("pod-%02d", i)))
		}
		m := watch.New(s, x, opts)
		m.Set([]resource.Type{pods})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- m.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		synctest.Wait()
		if n := x.Len(); n != 20 {
			t.Fatalf("%d objects known, want 20", n)
		}
		test(t, m, s, x)
	})
}

// TestAListThatLacksWhatIsThereDeletesNothing makes lists leave out half of the objects, or all, for the whole
// test.
func TestAListThatLacksWhatIsThereDeletesNothing(t *testing.T) {
	half, all := func(name string) bool { return strings.HasSuffix(name, "1") }, func(string) bool { return true }
	for name, hidden := range map[string]func(string) bool{"half": half, "all": all, "half, with a role that may only list": half} {
		t.Run(name, func(t *testing.T) {
			indexed(t, watch.Options{}, func(t *testing.T, m *watch.Manager, s *watchtest.Server, x *index.Index) {
				if strings.Contains(name, "role") {
					s.ListOnly(pods.GVR())
				}
				s.Hide(pods.GVR(), hidden)
				s.Delete(pods.GVR(), "a", "pod-02")
				if err := m.Relist(t.Context(), pods); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * time.Minute)
				if n := x.Len(); n < 19 {
					t.Errorf("%d objects known, want the 19 that are there", n)
				}
				s.Hide(pods.GVR(), nil)
				time.Sleep(6 * time.Minute)
				if n := x.Len(); n != 19 {
					t.Errorf("%d objects known after a true list, want 19", n)
				}
			})
		})
	}
}

// TestWatch_ListLacksObjects_DeletesThemAtOnce deletes all objects while no watch is open.
func TestWatch_ListLacksObjects_DeletesThemAtOnce(t *testing.T) {
	indexed(t, watch.Options{}, func(t *testing.T, _ *watch.Manager, s *watchtest.Server, x *index.Index) {
		s.Lose(pods.GVR(), true)
		for i := range 20 {
			s.Delete(pods.GVR(), "a", fmt.Sprintf("pod-%02d", i))
		}
		s.Compact()
		s.EndWatches(pods.GVR())
		time.Sleep(5 * time.Second)
		if n := x.Len(); n != 0 {
			t.Errorf("%d objects known, want none", n)
		}
	})
}

// TestAnAggregatedAPIThatComesBackEmptyDeletesNothingForAMinute restarts an API that keeps its objects in
// memory. Versions begin anew, and most of its objects are back only after a minute.
func TestAnAggregatedAPIThatComesBackEmptyDeletesNothingForAMinute(t *testing.T) {
	indexed(t, watch.Options{Aggregated: func(resource.Type) bool { return true }}, func(t *testing.T, _ *watch.Manager, s *watchtest.Server, x *index.Index) {
		gone := &goneCounter{}
		defer x.Listen(gone)()
		s.Restore(1)
		time.Sleep(time.Minute)
		if n := x.Len(); n != 20 {
			t.Errorf("%d objects known while the API is empty, want 20", n)
		}
		for i := range 19 {
			s.Put(pods.GVR(), meta("a", fmt.Sprintf("pod-%02d", i)))
		}
		time.Sleep(time.Minute)
		if n := x.Len(); n != 19 || gone.n != 1 {
			t.Errorf("%d objects known and %d deleted, want 19 and the one that did not come back", n, gone.n)
		}
	})
}

// goneCounter counts the deletions that an index reports.
type goneCounter struct{ n int }

func (d *goneCounter) Apply(c index.Change) {
	if c.Deleted {
		d.n++
	}
}

// TestEventsOutOfOrderLeadToAList lets the deletion of an object overtake its last change.
func TestEventsOutOfOrderLeadToAList(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		b.server.Put(pods.GVR(), meta("a", "x"))
		expect(t, b, pods, "upsert a/x at 101 as Pod")
		b.server.Lose(pods.GVR(), true)
		b.server.Delete(pods.GVR(), "a", "x")
		b.server.Lose(pods.GVR(), false)
		b.server.Put(pods.GVR(), meta("a", "y"))
		b.server.Repeat(pods.GVR(), 101)
		expect(t, b, pods, "upsert a/y at 103 as Pod", "upsert a/x at 101 as Pod", "replace map[a/y:103] at 104")
	})
}
