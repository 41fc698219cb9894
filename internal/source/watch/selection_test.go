package watch_test

import (
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func labelled(name, team string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: "a", Name: name, Labels: map[string]string{"team": team}}
}

func shop(t *testing.T) resource.Selection {
	t.Helper()
	s, err := resource.ParseSelector("team=shop")
	if err != nil {
		t.Fatal(err)
	}
	return resource.Selection{Selector: s, OptOut: resource.DefaultOptOut}
}

func optedOut(name string) metav1.ObjectMeta {
	o := labelled(name, "shop")
	o.Annotations = map[string]string{resource.DefaultOptOut: "true"}
	return o
}

// Like some aggregated API servers, the server in memory ignores selectors. Objects that are not selected are
// left out all the same, in lists and in events. The Sink gets Leave for an object that is not selected any
// more.
func TestWatch_ObjectIsNotSelected_IsNotReported(t *testing.T) {
	var last uint64
	inBubble(t, watch.Options{Keep: shop(t)}, func(s *watchtest.Server) {
		s.Put(pods.GVR(), labelled("ours", "shop"))
		s.Put(pods.GVR(), labelled("theirs", "other"))
		s.Put(pods.GVR(), optedOut("out"))
	}, func(t *testing.T, b *bubble) {
		b.Set([]resource.Type{pods})
		synctest.Wait()
		if diff := cmp.Diff([]string{"replace map[a/ours:101] at 103"}, b.sink.take(pods)); diff != "" {
			t.Fatalf("the list (-want +got):\n%s", diff)
		}
		b.server.Put(pods.GVR(), labelled("ours", "other"))
		b.server.Put(pods.GVR(), labelled("theirs", "shop"))
		b.server.Put(pods.GVR(), labelled("out", "shop"))
		b.server.Put(pods.GVR(), optedOut("theirs"))
		last = b.server.Delete(pods.GVR(), "a", "theirs")
		synctest.Wait()
		want := []string{"leave a/ours at 104", "upsert a/theirs at 105 as Pod", "upsert a/out at 106 as Pod", "leave a/theirs at 107", "leave a/theirs at 108"}
		if diff := cmp.Diff(want, b.sink.take(pods)); diff != "" {
			t.Errorf("the events (-want +got):\n%s", diff)
		}
		if selectors := b.server.Requests(pods.GVR()).Selectors; selectors != "team=shop" {
			t.Errorf("the server was asked for %v, want team=shop alone", selectors)
		}
	})
	if last != 108 {
		t.Errorf("the story ends at %d, want 108", last)
	}
}

// The history has objects that are not selected any more, like deleted ones.
func TestHistory_ObjectIsSelectedNoMore_IsReportedDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := watchtest.New()
		gvr := pods.GVR()
		s.Put(gvr, labelled("leaves", "shop"))
		s.Put(gvr, labelled("opts-out", "shop"))
		after := s.Put(gvr, labelled("changes", "shop"))
		left := s.Put(gvr, labelled("leaves", "other"))
		out := s.Put(gvr, optedOut("opts-out"))
		s.Put(gvr, optedOut("was-never-in")) // The object is created opted out.
		changed := labelled("changes", "shop")
		changed.Labels["tier"] = "web"
		until := s.Put(gvr, changed)
		ask := func(keep resource.Selection) (got []watch.Deletion) {
			err := watch.NewLister(s, keep, watch.NamespaceFilter{}).Deletions(t.Context(), pods, after, until,
				func(d watch.Deletion) { got = append(got, d) })
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		want := []watch.Deletion{{Namespace: "a", Name: "leaves", Version: left}, {Namespace: "a", Name: "opts-out", Version: out}}
		if diff := cmp.Diff(want, ask(shop(t))); diff != "" {
			t.Errorf("what left (-want +got):\n%s", diff)
		}
		keep := shop(t)
		keep.KeepMarks = true
		got := ask(keep)
		if len(got) != 3 || got[2].Name != "changes" || got[2].Now == nil || got[2].Now.ResourceVersion != until {
			t.Errorf("with receivers of their own selections %v is told, want what changed as well", got)
		}
	})
}

func TestListsAreOfWhatIsSelected(t *testing.T) {
	t.Parallel()
	s := watchtest.New()
	s.Put(pods.GVR(), labelled("ours", "shop"))
	s.Put(pods.GVR(), labelled("theirs", "other"))
	s.Put(pods.GVR(), optedOut("out"))
	var names []string
	_, err := watch.NewLister(s, shop(t), watch.NamespaceFilter{}).Pages(t.Context(), pods, watch.ListOptions{}, func(rs []resource.Record) error {
		for _, r := range rs {
			names = append(names, r.Name)
		}
		return nil
	})
	if diff := cmp.Diff([]string{"ours"}, names); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if selectors := s.Requests(pods.GVR()).Selectors; selectors != "team=shop" {
		t.Errorf("the server was asked for %v, want team=shop alone", selectors)
	}
}
