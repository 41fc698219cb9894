package watch_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func forbidden(t resource.Type) error {
	return apierrors.NewForbidden(schema.GroupResource{Group: t.Group, Resource: t.Resource}, "", errors.New("no rule"))
}

func unavailable() error { return apierrors.NewServiceUnavailable("the aggregated API is down") }

func refused() error {
	return &net.OpError{Op: "dial", Err: &net.OpError{Err: syscall.ECONNREFUSED}}
}

func expect(t *testing.T, b *bubble, typ resource.Type, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, b.sink.take(typ)); diff != "" {
		t.Errorf("the Sink was told about %s (-want +got):\n%s", typ, diff)
	}
}

func statusOf(t *testing.T, m *watch.Manager, typ resource.Type) watch.Status {
	t.Helper()
	for _, s := range m.Status() {
		if s.Type == typ {
			return s
		}
	}
	t.Fatalf("no status of %s", typ)
	return watch.Status{}
}

func TestEverythingIsReportedInOrder(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) {
		s.Put(pods.GVR(), meta("a", "x"))
		s.Put(pods.GVR(), meta("a", "y"))
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[a/x:101 a/y:102] at 102")
		b.server.Put(pods.GVR(), meta("a", "x"))
		b.server.Put(pods.GVR(), meta("b", "z"))
		b.server.Delete(pods.GVR(), "a", "y")
		b.server.Bookmark(pods.GVR())
		expect(t, b, pods, "upsert a/x at 103 as Pod", "upsert b/z at 104 as Pod", "delete a/y at 105", "bookmark 106")
		got := statusOf(t, b.Manager, pods)
		if got.Phase != watch.Synced || got.Listed != 2 || got.Lists != 1 || got.ResourceVersion != 106 || got.Failures != 0 {
			t.Errorf("status is %+v, want synced after 1 list of 2 objects, at 106", got)
		}
	})
}

func TestFilteredNamespacesAreNotReported(t *testing.T) {
	opts := watch.Options{Namespaces: watch.NamespaceFilter{Exclude: []string{"kube-system"}}}
	inBubble(t, opts, func(s *watchtest.Server) {
		s.Put(pods.GVR(), meta("kube-system", "x"))
		s.Put(pods.GVR(), meta("a", "y"))
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[a/y:102] at 102")
		b.server.Put(pods.GVR(), meta("kube-system", "x"))
		b.server.Delete(pods.GVR(), "kube-system", "x")
		b.server.Put(pods.GVR(), meta("a", "y"))
		expect(t, b, pods, "upsert a/y at 105 as Pod")
	})
}

// I5: a forbidden type causes no call of the Sink, holds up no other type, and is read once it is allowed.
func TestForbiddenTypeIsReadWithinHalfAMinuteOfTheGrant(t *testing.T) {
	inBubble(t, watch.Options{Starts: 1}, func(s *watchtest.Server) {
		s.Fail(widgets.GVR(), forbidden(widgets))
		s.Put(widgets.GVR(), meta("a", "w"))
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{widgets, pods})
		expect(t, b, pods, "replace map[] at 101")
		time.Sleep(10 * time.Minute) // the longest backoff
		expect(t, b, widgets)
		got := statusOf(t, b.Manager, widgets)
		if got.Phase != watch.Failing || got.Reason != watch.Forbidden || !apierrors.IsForbidden(got.Err) || got.FailedAt.IsZero() {
			t.Errorf("status is %+v, want failing as forbidden", got)
		}
		b.server.Fail(widgets.GVR(), nil)
		time.Sleep(30 * time.Second)
		expect(t, b, widgets, "replace map[a/w:101] at 101")
		if got := statusOf(t, b.Manager, widgets); got.Phase != watch.Synced || got.Reason != watch.Forbidden {
			t.Errorf("status is %+v, want synced, with the error that was", got)
		}
	})
}

// I5: a watched type whose API goes away keeps its reported objects.
func TestTypeThatBeginsToFailDeletesNothing(t *testing.T) {
	for name, err := range map[string]error{
		"forbidden":   forbidden(widgets),
		"unavailable": unavailable(),
		"not found":   apierrors.NewNotFound(schema.GroupResource{}, ""),
		"conversion":  apierrors.NewInternalError(errors.New("conversion webhook failed")),
		"refused":     refused(),
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.Put(widgets.GVR(), meta("a", "w")) }, func(t *testing.T, b *bubble) {
				b.Set([]resource.Type{widgets})
				expect(t, b, widgets, "replace map[a/w:101] at 101")
				time.Sleep(2 * time.Second) // so that the end of the watch is not a very short watch
				b.server.Fail(widgets.GVR(), err)
				time.Sleep(time.Hour)
				expect(t, b, widgets)
				if got := statusOf(t, b.Manager, widgets).Phase; got != watch.Failing {
					t.Errorf("phase is %s, want failing", got)
				}
				b.server.Fail(widgets.GVR(), nil)
				b.server.Put(widgets.GVR(), meta("a", "v"))
				time.Sleep(31 * time.Second)
				synctest.Wait()
				if got := statusOf(t, b.Manager, widgets).Phase; got != watch.Synced {
					t.Errorf("phase is %s, want synced", got)
				}
				if got := b.sink.take(widgets); len(got) == 0 {
					t.Error("the object that was created meanwhile was not reported")
				}
			})
		})
	}
}

// client-go's Reflector waits after these errors, and tries no plain list, so only the watch request shows the
// failure.
func TestRefusedAndThrottledStreamsAreFailures(t *testing.T) {
	for want, err := range map[watch.Reason]error{
		watch.Unavailable: refused(),
		watch.Throttled:   apierrors.NewTooManyRequests("storage is (re)initializing", 1),
	} {
		t.Run(string(want), func(t *testing.T) {
			inBubble(t, watch.Options{}, func(s *watchtest.Server) { s.Fail(widgets.GVR(), err) }, func(t *testing.T, b *bubble) {
				b.Set([]resource.Type{widgets})
				synctest.Wait()
				if got := statusOf(t, b.Manager, widgets); got.Phase != watch.Failing || got.Reason != want {
					t.Errorf("status is %+v, want failing as %s", got, want)
				}
			})
		})
	}
}

func TestHangingTypeGivesItsStartSlotBack(t *testing.T) {
	settled := make(chan struct{}, 2)
	opts := watch.Options{Starts: 1, OnSettled: func() { settled <- struct{}{} }}
	inBubble(t, opts, func(s *watchtest.Server) {
		s.Hang(widgets.GVR(), true)
		s.Hang(pods.GVR(), true)
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{widgets, pods, nodes})
		if b.Settled() {
			t.Error("Settled before anything was listed")
		}
		time.Sleep(21 * time.Second) // twice the 10 s after which a slot is given back
		expect(t, b, nodes, "replace map[] at 100")
		<-settled
		if !b.Settled() {
			t.Error("not Settled, want it after all have been listed or have failed")
		}
		if got := statusOf(t, b.Manager, widgets); got.Reason != watch.Unanswered || got.Phase != watch.Failing {
			t.Errorf("status is %+v, want failing as unanswered", got)
		}
		b.server.Hang(widgets.GVR(), false)
		expect(t, b, widgets, "replace map[] at 100")
		time.Sleep(time.Minute)
		if len(settled) != 0 {
			t.Error("OnSettled was called twice")
		}
	})
}

func TestSilentWatchIsBegunAgainWithoutAList(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		time.Sleep(time.Minute)
		b.server.Silence(pods.GVR())
		b.server.Put(pods.GVR(), meta("a", "x"))
		time.Sleep(119 * time.Second)
		expect(t, b, pods)
		time.Sleep(2 * time.Second) // 3 min since the last sign of life
		expect(t, b, pods, "upsert a/x at 101 as Pod")
		if diff := cmp.Diff(watchtest.Requests{Lists: 1, Streams: 1, Watches: 1}, b.server.Requests(pods.GVR())); diff != "" {
			t.Errorf("requests, of which the list is of one object, for its version (-want +got):\n%s", diff)
		}
		if got := statusOf(t, b.Manager, pods); got.Restarts != 1 || got.Phase != watch.Synced {
			t.Errorf("status is %+v, want 1 restart and synced", got)
		}
	})
}

func TestBookmarksKeepAWatchAlive(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		for range 10 {
			time.Sleep(time.Minute)
			b.server.Bookmark(pods.GVR())
		}
		if got := statusOf(t, b.Manager, pods).Restarts; got != 0 {
			t.Errorf("restarted %d times, want 0", got)
		}
	})
}

func TestSlowSinkIsNoSilence(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.sink.block = make(chan struct{})
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		for _, name := range []string{"x", "y", "z"} {
			b.server.Put(pods.GVR(), meta("a", name))
		}
		time.Sleep(time.Hour)
		close(b.sink.block)
		expect(t, b, pods, "upsert a/x at 101 as Pod", "upsert a/y at 102 as Pod", "upsert a/z at 103 as Pod")
		if got := statusOf(t, b.Manager, pods).Restarts; got != 0 {
			t.Errorf("restarted %d times, want 0", got)
		}
	})
}

func TestUnansweredWatchIsAskedForAgainWithoutAList(t *testing.T) {
	inBubble(t, watch.Options{}, func(*watchtest.Server) {}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[] at 100")
		time.Sleep(time.Minute)
		b.server.Hang(pods.GVR(), true) // ends the watch too
		b.server.Put(pods.GVR(), meta("a", "x"))
		time.Sleep(4 * time.Minute)
		if got := statusOf(t, b.Manager, pods); got.Reason != watch.Unanswered || got.Phase != watch.Failing {
			t.Errorf("status is %+v, want failing as unanswered", got)
		}
		b.server.Hang(pods.GVR(), false)
		expect(t, b, pods, "upsert a/x at 101 as Pod")
		if got := b.server.Requests(pods.GVR()); got.Streams != 1 || got.Watches == 0 {
			t.Errorf("requests are %+v, want 1 streamed list and no other", got)
		}
		if got := statusOf(t, b.Manager, pods).Phase; got != watch.Synced {
			t.Errorf("phase is %s, want synced", got)
		}
	})
}

func TestCompactedVersionLeadsToANewList(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) {
		s.Put(pods.GVR(), meta("a", "x"))
		s.Put(pods.GVR(), meta("a", "y"))
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		expect(t, b, pods, "replace map[a/x:101 a/y:102] at 102")
		time.Sleep(2 * time.Second)
		b.server.Silence(pods.GVR())
		b.server.Delete(pods.GVR(), "a", "x")
		b.server.Compact()
		time.Sleep(4 * time.Minute)
		expect(t, b, pods, "replace map[a/y:102] at 103")
		if got := statusOf(t, b.Manager, pods); got.Lists != 2 || got.Failures != 0 {
			t.Errorf("status is %+v, want a second list and no failure", got)
		}
	})
}

func TestServerThatIgnoresStreamedListsIsListed(t *testing.T) {
	inBubble(t, watch.Options{}, func(s *watchtest.Server) {
		s.IgnoreStreams(pods.GVR())
		for _, name := range []string{"x", "y"} {
			s.Put(pods.GVR(), meta("a", name))
		}
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		time.Sleep(4 * time.Minute)
		expect(t, b, pods, "replace map[a/x:101 a/y:102] at 102")
		b.server.Put(pods.GVR(), meta("a", "x"))
		expect(t, b, pods, "upsert a/x at 103 as Pod")
	})
}
