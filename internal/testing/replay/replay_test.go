package replay_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/kube/metadatawatch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/replay"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	pods   = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}
	leases = resource.Type{Group: "coordination.k8s.io", Version: "v1", Resource: "leases", Kind: "Lease", Namespaced: true}
)

// started serves three pods, or as many as a test wants, and no Lease.
func started(t *testing.T, objects int) *replay.Server {
	t.Helper()
	r := &replay.Recording{Types: []replay.Recorded{{Type: pods}, {Type: leases}}}
	for i := range 3 {
		r.Types[0].Objects = append(r.Types[0].Objects, metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
			Namespace: "team-a", Name: fmt.Sprint("web-", i), UID: "1", ResourceVersion: fmt.Sprint(10 + i),
			Labels: map[string]string{"app": "web"},
		}})
	}
	path := filepath.Join(t.TempDir(), "recording")
	if err := r.Save(path); err != nil {
		t.Fatal(err)
	}
	loaded, err := replay.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	s := replay.Start(loaded, replay.Options{Objects: objects})
	t.Cleanup(s.Stop)
	return s
}

func client(t *testing.T, s *replay.Server) metadata.Interface {
	t.Helper()
	c, err := metadatawatch.New(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// next returns the next event of a watch.
func next(t *testing.T, w apiwatch.Interface) string {
	t.Helper()
	ev, ok := <-w.ResultChan()
	if !ok {
		t.Fatal("the watch has ended")
	}
	o, ok := ev.Object.(metav1.Object)
	if !ok {
		t.Fatalf("the watch brings %+v", ev)
	}
	end := ""
	if o.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true" {
		end = " end"
	}
	return fmt.Sprintf("%s %s %s%s", ev.Type, o.GetName(), o.GetLabels()[replay.RevisionLabel], end)
}

func pages(t *testing.T, c metadata.Interface, limit int64, between func()) (names map[string]string, version string) {
	t.Helper()
	names = make(map[string]string)
	opts := metav1.ListOptions{Limit: limit}
	for {
		list, err := c.Resource(pods.GVR()).List(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range list.Items {
			names[list.Items[i].Name] = list.Items[i].ResourceVersion
		}
		if version = list.ResourceVersion; list.Continue == "" {
			return names, version
		}
		opts.Continue = list.Continue
		between()
	}
}

// TestPagesAndStreamsBringTheSame holds for a change between two pages, too, which the watch then reports.
func TestPagesAndStreamsBringTheSame(t *testing.T) {
	s := started(t, 20)
	c := client(t, s)
	refs := s.Objects(func(t resource.Type) bool { return t == pods })
	whole, _ := pages(t, c, 0, func() {})
	if len(whole) != 20 || len(refs) != 20 {
		t.Fatalf("%d objects listed, %d known, want 20", len(whole), len(refs))
	}
	paged, version := pages(t, c, 7, func() { s.Touch(refs[19]) })
	if diff := cmp.Diff(whole, paged); diff != "" {
		t.Errorf("pages (-whole +paged):\n%s", diff)
	}
	w, err := c.Resource(pods.GVR()).Watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for range 2 {
		if got := next(t, w); got != "MODIFIED web-1-r6 " {
			t.Errorf("after the list comes %q", got)
		}
	}
	yes := true
	streamed, err := c.Resource(pods.GVR()).Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer streamed.Stop()
	names := make(map[string]bool)
	for range 20 {
		names[next(t, streamed)] = true
	}
	if len(names) != 20 {
		t.Errorf("streamed %v", slices.Sorted(maps.Keys(names)))
	}
	if got := next(t, streamed); got != "BOOKMARK   end" {
		t.Errorf("the list ends with %q", got)
	}
}

func TestChangesAreWatched(t *testing.T) {
	s := started(t, 0)
	c := client(t, s)
	_, version := pages(t, c, 0, func() {})
	w, err := c.Resource(pods.GVR()).Watch(t.Context(), metav1.ListOptions{ResourceVersion: version})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	r := s.Objects(func(t resource.Type) bool { return t == pods })[1]
	did := []bool{s.Relabel(r), s.Touch(r), s.Delete(r), s.Delete(r), s.Relabel(r), s.Create(r), s.Create(r)}
	if diff := cmp.Diff([]bool{true, true, true, false, false, true, false}, did); diff != "" {
		t.Errorf("done (-want +got):\n%s", diff)
	}
	for _, want := range []string{"MODIFIED web-1 1", "MODIFIED web-1 1", "DELETED web-1 1", "ADDED web-1 1"} {
		if got := next(t, w); got != want {
			t.Errorf("watched %q, want %q", got, want)
		}
	}
	o, err := c.Resource(pods.GVR()).Namespace("team-a").Get(t.Context(), "web-1", metav1.GetOptions{})
	if err != nil || o.UID == "1" {
		t.Errorf("a created object is %+v, %v, want one of another UID", o, err)
	}
}

func TestAVersionThatIsNotRememberedHasExpired(t *testing.T) {
	s := started(t, 0)
	c := client(t, s)
	r := s.Objects(func(t resource.Type) bool { return t == pods })[0]
	for range 5000 {
		s.Touch(r)
	}
	_, err := c.Resource(pods.GVR()).Watch(t.Context(), metav1.ListOptions{ResourceVersion: "12"})
	if !apierrors.IsResourceExpired(err) {
		t.Errorf("the error is %v, want one of an expired version", err)
	}
}

// TestServer_ClientWrites_ComparesAndSwaps also checks that a watch whose selector matches reports each write.
func TestServer_ClientWrites_ComparesAndSwaps(t *testing.T) {
	s := started(t, 0)
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := s.WriteKubeconfig(path); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	full, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	c := full.CoordinationV1().Leases("default")
	w, err := c.Watch(t.Context(), metav1.ListOptions{LabelSelector: "ring=a", ResourceVersion: "12"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	made := func(name, ring string) *coordinationv1.Lease {
		l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"ring": ring}}}
		l.Spec.HolderIdentity = &name
		got, err := c.Create(t.Context(), l, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	made("other", "b")
	first := made("mine", "a")
	holder := "next"
	changed := first.DeepCopy()
	changed.Spec.HolderIdentity = &holder
	if _, err := c.Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Update(t.Context(), first, metav1.UpdateOptions{}); !apierrors.IsConflict(err) {
		t.Errorf("an update of an old version ends with %v, want a conflict", err)
	}
	if _, err := c.Create(t.Context(), first, metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
		t.Errorf("a second creation ends with %v", err)
	}
	old := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{ResourceVersion: &first.ResourceVersion}}
	if err := c.Delete(t.Context(), "mine", old); !apierrors.IsConflict(err) {
		t.Errorf("a deletion of an old version ends with %v, want a conflict", err)
	}
	got, err := c.Get(t.Context(), "mine", metav1.GetOptions{})
	if err != nil || *got.Spec.HolderIdentity != holder {
		t.Errorf("there is %+v, %v", got, err)
	}
	if err := c.Delete(t.Context(), "mine", metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"ADDED mine ", "MODIFIED mine ", "DELETED mine "} {
		if got := next(t, w); got != want {
			t.Errorf("watched %q, want %q", got, want)
		}
	}
	list, err := c.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "other" {
		t.Errorf("left are %+v, %v", list, err)
	}
}

// TestTraffic_OneLeaseWrittenAndWatched_IsCounted compares the counts with requests that the test makes by hand.
func TestTraffic_OneLeaseWrittenAndWatched_IsCounted(t *testing.T) {
	s := started(t, 0)
	full, err := kubernetes.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	c := full.CoordinationV1().Leases("default")
	w, err := c.Watch(t.Context(), metav1.ListOptions{ResourceVersion: "12"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	l, err := c.Create(t.Context(), &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "mine"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if l, err = c.Update(t.Context(), l, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		next(t, w)
	}
	got := s.Traffic()
	want := map[string]int{"POST leases": 1, "PUT leases": 2, "watch leases": 1}
	for what, n := range want {
		if got[what].Requests != n || got[what].Bytes == 0 {
			t.Errorf("%s is %+v, want %d requests and some bytes", what, got[what], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("counted is %+v, want %v", got, want)
	}
}
