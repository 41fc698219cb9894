package watch_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func deletions(t *testing.T, s *watchtest.Server, after, until uint64) ([]watch.Deletion, error) {
	t.Helper()
	var got []watch.Deletion
	err := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{Exclude: []string{"hidden"}}).Deletions(
		t.Context(), pods, after, until, func(d watch.Deletion) { got = append(got, d) })
	return got, err
}

func TestDeletionsTellOfWhatNoListShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		gvr := pods.GVR()
		put := func(namespace, name string) uint64 {
			return s.Put(gvr, metav1.ObjectMeta{Namespace: namespace, Name: name})
		}
		put("a", "earlier")
		s.Delete(gvr, "a", "earlier")
		put("a", "old")
		put("hidden", "secret")
		after := put("a", "stays")
		put("a", "brief")
		brief := s.Delete(gvr, "a", "brief")
		s.Delete(gvr, "hidden", "secret")
		old := s.Delete(gvr, "a", "old")
		until := put("b", "new")
		s.Delete(gvr, "a", "stays") // later than the requested period
		want := []watch.Deletion{{Namespace: "a", Name: "brief", Version: brief}, {Namespace: "a", Name: "old", Version: old}}
		got, err := deletions(t, s, after, until)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
		if got, err := deletions(t, s, until, until); len(got) > 0 || err != nil || s.Requests(gvr).Watches != 1 {
			t.Errorf("%v, %v after %d watches, want nothing asked for when there is nothing to ask", got, err, s.Requests(gvr).Watches)
		}
		if _, err := deletions(t, s, 0, until); !errors.Is(err, watch.ErrExpired) {
			t.Errorf("%v from the beginning, want ErrExpired", err)
		}
		s.Compact()
		if _, err := deletions(t, s, after, until); !errors.Is(err, watch.ErrExpired) {
			t.Errorf("%v of a version that is gone, want ErrExpired", err)
		}
	})
}

func TestDeletionsGoOnWhereARoundHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		gvr := pods.GVR()
		s.Put(gvr, metav1.ObjectMeta{Namespace: "a", Name: "x"})
		after := s.Version()
		until := after + 3
		go func() { // Ends with the bubble.
			for range 2 {
				time.Sleep(time.Second)
				s.EndWatches(gvr)
				time.Sleep(time.Second)
				s.Put(gvr, metav1.ObjectMeta{Namespace: "a", Name: "x"})
				if s.Version() == until-1 {
					s.Delete(gvr, "a", "x")
				}
			}
		}()
		got, err := deletions(t, s, after, until)
		if diff := cmp.Diff([]watch.Deletion{{Namespace: "a", Name: "x", Version: until}}, got); diff != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}

func TestDeletionsGiveUpOnAServerThatSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		gvr := pods.GVR()
		after := s.Put(gvr, metav1.ObjectMeta{Namespace: "a", Name: "x"})
		go func() { // Ends with the bubble.
			for range 3 {
				time.Sleep(time.Second)
				s.EndWatches(gvr)
			}
		}()
		if _, err := deletions(t, s, after, after+1); err == nil || errors.Is(err, watch.ErrExpired) || s.Requests(gvr).Watches != 3 {
			t.Errorf("%v after %d watches, want an error after 3", err, s.Requests(gvr).Watches)
		}
		if _, err := deletions(t, s, after, after+1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v from a server that does not even end its watches, want that the time is over", err)
		}
	})
}
