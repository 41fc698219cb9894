package watch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

// I9: the one repair of a watch that has lost events.
func TestRelist_EventsWereLost_TheSinkIsToldWhatThereIs(t *testing.T) {
	for name, prepare := range map[string]func(*watchtest.Server){
		"streamed": func(*watchtest.Server) {},
		"paged":    func(s *watchtest.Server) { s.IgnoreStreams(pods.GVR()); s.EndWatches(pods.GVR()) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, watch.Options{StaleAfter: 5 * time.Second}, func(s *watchtest.Server) {
				s.Put(pods.GVR(), meta("a", "changed"))
				s.Put(pods.GVR(), meta("a", "deleted"))
			}, func(t *testing.T, b *bubble) {
				b.Set([]resource.Type{pods})
				expect(t, b, pods, "replace map[a/changed:101 a/deleted:102] at 102")
				b.server.Lose(pods.GVR(), true)
				b.server.Put(pods.GVR(), meta("a", "changed"))
				b.server.Delete(pods.GVR(), "a", "deleted")
				b.server.Put(pods.GVR(), meta("a", "created"))
				b.server.Lose(pods.GVR(), false)
				b.server.Put(pods.GVR(), meta("a", "seen"))
				expect(t, b, pods, "upsert a/seen at 106 as Pod")
				prepare(b.server)
				if err := b.Relist(t.Context(), pods); err != nil {
					t.Fatal(err)
				}
				// Relist has returned, so the Sink has the list.
				if diff := cmp.Diff([]string{"replace map[a/changed:103 a/created:105 a/seen:106] at 106"}, b.sink.take(pods)); diff != "" {
					t.Errorf("the Sink was told (-want +got):\n%s", diff)
				}
				b.server.Put(pods.GVR(), meta("a", "later"))
				expect(t, b, pods, "upsert a/later at 107 as Pod")
				if got := statusOf(t, b.Manager, pods); got.Phase != watch.Synced || got.Failures != 0 || got.Lists != 2 {
					t.Errorf("status is %+v, want synced after two lists, without a failure", got)
				}
			})
		})
	}
}

func TestRelist_SeveralAtATime_ShareOneList(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		b.server.Hang(pods.GVR(), true)
		ended := make(chan error, 3)
		for range cap(ended) {
			go func() { ended <- b.Relist(t.Context(), pods) }()
		}
		synctest.Wait()
		b.server.Hang(pods.GVR(), false)
		for range cap(ended) {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
		expect(t, b, pods, "replace map[] at 100")
	})
}

// I5: a failed list causes no call of the Sink, and is tried again.
func TestRelist_ListFails_NothingIsToldUntilOneSucceeds(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.Put(pods.GVR(), meta("a", "x")) }, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[a/x:101] at 101")
		b.server.Fail(pods.GVR(), unavailable())
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := b.Relist(ctx, pods); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Relist returned %v, want the end of its context", err)
		}
		expect(t, b, pods)
		if got := statusOf(t, b.Manager, pods); got.Phase != watch.Failing {
			t.Errorf("phase is %s, want failing", got.Phase)
		}
		b.server.Fail(pods.GVR(), nil)
		time.Sleep(30 * time.Second)
		expect(t, b, pods, "replace map[a/x:101] at 101")
	})
}

func TestRelist_TypeIsNotWatched_SaysSo(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		if err := b.Relist(t.Context(), pods); !errors.Is(err, watch.ErrNotWatched) {
			t.Errorf("Relist of what was never wanted returned %v", err)
		}
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		b.server.Hang(pods.GVR(), true)
		ended := make(chan error, 1)
		go func() { ended <- b.Relist(t.Context(), pods) }()
		synctest.Wait()
		b.Set(nil)
		if err := <-ended; !errors.Is(err, watch.ErrNotWatched) {
			t.Errorf("Relist of what is wanted no longer returned %v", err)
		}
		expect(t, b, pods)
	})
}
