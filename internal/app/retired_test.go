package app_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

func idle() *pipeline.Pipeline {
	return pipeline.New(nil, wire.DotAI(), delivery.NewBreaker(delivery.BreakerOptions{}), pipeline.Options{Target: "default"})
}

func pending(p *pipeline.Pipeline) []string {
	var names []string
	p.PendingDeletions(pods, func(_, name string) { names = append(names, name) })
	slices.Sort(names)
	return names
}

// TestDeletionsGoToTheSuccessor has objects deleted before, between and after two lives of a receiver.
func TestDeletionsGoToTheSuccessor(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	var all []resource.Record
	for i, name := range []string{"before", "between", "back", "there"} {
		all = append(all, resource.Record{Namespace: "a", Name: name, ResourceVersion: uint64(i + 1), Digest: 1})
	}
	x.Replace(pods, all, 100)
	first, second := idle(), idle()
	unlisten := x.Listen(first)
	x.Delete(pods, "a", "before", 101)
	x.Delete(pods, "a", "back", 102)
	app.Heirs(x, first, second, func() {
		unlisten()
		x.Delete(pods, "a", "between", 103)
		x.Upsert(pods, resource.Record{Namespace: "a", Name: "back", ResourceVersion: 104, Digest: 2})
	})
	if diff := cmp.Diff([]string{"before", "between"}, pending(second)); diff != "" {
		t.Errorf("the successor has to delete (-want +got):\n%s", diff)
	}
}

// TestWhatComesAndGoesWhileAReceiverIsStoppedIsNotKept: a ResourceSyncConfig that is invalid may stay so, and
// jobs come and go meanwhile.
func TestWhatComesAndGoesWhileAReceiverIsStoppedIsNotKept(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "there", ResourceVersion: 1, Digest: 1}}, 1)
	first, second := idle(), idle()
	unlisten := x.Listen(first)
	kept := app.Heirs(x, first, second, func() {
		unlisten()
		for i := range uint64(2000) {
			name := "job-" + strconv.FormatUint(i, 10)
			x.Upsert(pods, resource.Record{Namespace: "a", Name: name, Digest: 1, ResourceVersion: 2*i + 2})
			x.Delete(pods, "a", name, 2*i+3)
			x.Delete(pods, "a", "there", 2*i+3)
			x.Upsert(pods, resource.Record{Namespace: "a", Name: "there", Digest: 1, ResourceVersion: 2*i + 4})
		}
		x.Delete(pods, "a", "there", 5000)
	})
	if diff := cmp.Diff([]string{"there"}, pending(second)); diff != "" || kept != 1 {
		t.Errorf("%d names are kept, want 1; the successor has to delete (-want +got):\n%s", kept, diff)
	}
}

// TestWhatLeavesTheViewWithASuccessorIsDeleted narrows the view of a receiver: it loses what it had, and nothing else.
func TestWhatLeavesTheViewWithASuccessorIsDeleted(t *testing.T) {
	t.Parallel()
	selecting := func(text string) *resource.Selection {
		s, err := resource.ParseSelector(text)
		if err != nil {
			t.Fatal(err)
		}
		return &resource.Selection{Selector: s}
	}
	record := func(name string, version int, labels map[string]string) resource.Record {
		return resource.NewRecord(&metav1.ObjectMeta{Namespace: "a", Name: name, ResourceVersion: strconv.Itoa(version), Labels: labels}, resource.AnnotationFilter{})
	}
	x := index.New(nil)
	all := []resource.Record{
		record("stays", 1, map[string]string{"team": "shop"}), record("leaves", 2, map[string]string{"team": "other"}),
		record("never", 3, nil), record("comes", 4, map[string]string{"team": "new"}),
	}
	x.Replace(pods, all, 100)
	for name, tt := range map[string]struct {
		before *resource.Selection
		want   []string
	}{
		"narrower":      {selecting("team in (shop,other)"), []string{"leaves"}},
		"from all":      {nil, []string{"leaves", "never"}},
		"to the same":   {selecting("team in (shop,new)"), nil},
		"from another":  {selecting("!team"), []string{"never"}},
		"none was here": {selecting("nobody"), nil},
	} {
		p := idle()
		app.Narrowed(x, pods, all, tt.before, selecting("team in (shop,new)"), p)
		if diff := cmp.Diff(tt.want, pending(p)); diff != "" {
			t.Errorf("%s: the successor has to delete (-want +got):\n%s", name, diff)
		}
	}
}

// TestALifeEndsWhileEverythingChanges would hang if what is left were taken under a lock that a change waits for.
func TestALifeEndsWhileEverythingChanges(t *testing.T) {
	t.Parallel()
	x := index.New(nil)
	x.Replace(pods, nil, 1)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // Ends with stop.
		defer close(done)
		for i := uint64(2); ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			name := strconv.Itoa(int(i % 50))
			x.Upsert(pods, resource.Record{Namespace: "a", Name: name, ResourceVersion: i, Digest: i})
			x.Delete(pods, "a", name, i)
		}
	}()
	for range 200 {
		first, second := idle(), idle()
		unlisten := x.Listen(first)
		app.Heirs(x, first, second, unlisten)
	}
	close(stop)
	<-done
}
