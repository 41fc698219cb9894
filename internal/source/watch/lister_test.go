package watch_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch/watchtest"
)

func fivePods() *watchtest.Server {
	s := watchtest.New()
	for i := range 5 {
		s.Put(pods.GVR(), meta("ns", fmt.Sprintf("p%d", i)))
	}
	return s
}

// names collects the names of each page.
func names(pages *[][]string) func([]resource.Record) error {
	return func(rs []resource.Record) error {
		page := make([]string, 0, len(rs))
		for _, r := range rs {
			page = append(page, r.Name)
		}
		*pages = append(*pages, page)
		return nil
	}
}

func TestPagesAreOneConsistentList(t *testing.T) {
	t.Parallel()
	s := fivePods()
	var got [][]string
	collect := names(&got)
	version, err := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{}).Pages(t.Context(), pods,
		watch.ListOptions{PageSize: 2}, func(rs []resource.Record) error {
			if asked := s.Requests(pods.GVR()).Lists; asked != len(got)+1 {
				t.Errorf("page %d was handed over after %d requests, want the next not to be asked for before", len(got)+1, asked)
			}
			s.Delete(pods.GVR(), "ns", "p4")
			s.Put(pods.GVR(), meta("ns", "p9"))
			return collect(rs)
		})
	if err != nil || version != 105 {
		t.Errorf("Pages returned version %d and %v, want 105 and no error", version, err)
	}
	if diff := cmp.Diff([][]string{{"p0", "p1"}, {"p2", "p3"}, {"p4"}}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
}

func TestPagesOfAnExactVersion(t *testing.T) {
	t.Parallel()
	s := fivePods()
	s.Delete(pods.GVR(), "ns", "p0")
	l := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{})
	var got [][]string
	version, err := l.Pages(t.Context(), pods, watch.ListOptions{Exact: 103, PageSize: 2}, names(&got))
	if err != nil || version != 103 {
		t.Errorf("Pages returned version %d and %v, want 103 and no error", version, err)
	}
	if diff := cmp.Diff([][]string{{"p0", "p1"}, {"p2"}}, got); diff != "" {
		t.Errorf("pages (-want +got):\n%s", diff)
	}
	s.Compact()
	if _, err := l.Pages(t.Context(), pods, watch.ListOptions{Exact: 103}, names(&got)); !errors.Is(err, watch.ErrExpired) {
		t.Errorf("a compacted version returned %v, want ErrExpired", err)
	}
}

func TestPagesDoNotContinueFromAnotherVersion(t *testing.T) {
	t.Parallel()
	s := fivePods()
	var got [][]string
	collect := names(&got)
	_, err := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{}).Pages(t.Context(), pods,
		watch.ListOptions{PageSize: 2}, func(rs []resource.Record) error {
			s.Put(pods.GVR(), meta("ns", "p9"))
			s.Compact()
			return collect(rs)
		})
	if !errors.Is(err, watch.ErrExpired) || !apierrors.IsResourceExpired(err) {
		t.Errorf("Pages returned %v, want ErrExpired and the server's error", err)
	}
	if len(got) != 1 || s.Requests(pods.GVR()).Lists != 2 {
		t.Errorf("got %d pages of %d requests, want 1 of 2", len(got), s.Requests(pods.GVR()).Lists)
	}
}

// A reader of evicted bodies may read a large type so slowly that etcd forgets the version. The list goes on
// from its last page, and reads no object twice.
func TestPages_Inexact_GoOnFromTheLastPageAtALaterVersion(t *testing.T) {
	t.Parallel()
	s := fivePods()
	var got [][]string
	collect := names(&got)
	_, err := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{}).Pages(t.Context(), pods,
		watch.ListOptions{PageSize: 2, Inexact: true}, func(rs []resource.Record) error {
			s.Put(pods.GVR(), meta("ns", fmt.Sprintf("p%d", 5+len(got))))
			s.Compact()
			return collect(rs)
		})
	if diff := cmp.Diff([][]string{{"p0", "p1"}, {"p2", "p3"}, {"p4", "p5"}, {"p6", "p7"}}, got); diff != "" || err != nil {
		t.Errorf("%v; pages (-want +got):\n%s", err, diff)
	}
}

func TestPageErrorStopsTheList(t *testing.T) {
	t.Parallel()
	s, full := fivePods(), errors.New("full")
	_, err := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{}).Pages(t.Context(), pods,
		watch.ListOptions{PageSize: 2}, func([]resource.Record) error { return full })
	if !errors.Is(err, full) || s.Requests(pods.GVR()).Lists != 1 {
		t.Errorf("Pages returned %v after %d requests, want the page's error after 1", err, s.Requests(pods.GVR()).Lists)
	}
}

func TestPagesFilter(t *testing.T) {
	t.Parallel()
	s := fivePods()
	s.Put(pods.GVR(), meta("other", "q"))
	s.Put(pods.GVR(), meta("secret", "r"))
	l := watch.NewLister(s, resource.Selection{}, watch.NamespaceFilter{Exclude: []string{"secret"}})
	for name, tc := range map[string]struct {
		namespace string
		want      [][]string
	}{
		"all namespaces but the excluded": {"", [][]string{{"p0", "p1", "p2", "p3", "p4"}, {"q"}}},
		"one namespace":                   {"other", [][]string{{"q"}}},
		"an excluded namespace":           {"secret", [][]string{{}}},
		"an empty namespace":              {"none", [][]string{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got [][]string
			if _, err := l.Pages(t.Context(), pods, watch.ListOptions{Namespace: tc.namespace, PageSize: 5}, names(&got)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("pages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStates_FiltersAndPages_AreThoseOfARecordsList(t *testing.T) {
	t.Parallel()
	s := fivePods()
	s.Put(pods.GVR(), meta("hidden", "x"))
	out := meta("ns", "out")
	out.Annotations = map[string]string{"example.com/keep-out": "true"}
	s.Put(pods.GVR(), out)
	l := watch.NewLister(s, resource.Selection{OptOut: "example.com/keep-out"}, watch.NamespaceFilter{Exclude: []string{"hidden"}})
	var got []string
	version, err := l.States(t.Context(), pods, func(version uint64, states []watch.State) error {
		for _, o := range states {
			got = append(got, fmt.Sprintf("%s/%s:%d of %d", o.Namespace, o.Name, o.Version, version))
		}
		return nil
	})
	if err != nil || version != 107 {
		t.Errorf("States returned version %d and %v, want 107 and no error", version, err)
	}
	want := []string{"ns/p0:101 of 107", "ns/p1:102 of 107", "ns/p2:103 of 107", "ns/p3:104 of 107", "ns/p4:105 of 107"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
	s.Fail(pods.GVR(), errors.New("no"))
	if _, err := l.States(t.Context(), pods, func(uint64, []watch.State) error { return nil }); err == nil {
		t.Error("a list that fails is no error")
	}
}
