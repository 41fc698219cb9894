package plan

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

var (
	epoch = time.Date(2026, 2, 20, 10, 0, 0, 0, time.UTC)
	node  = resource.Type{Version: "v1", Resource: "nodes", Kind: "Node"}
)

func at(d time.Duration) time.Time { return epoch.Add(d) }

// object is an object with labels, a name and a value in turn, and an annotation that is kept.
func object(name, uid, annotation string, labels ...string) *metav1.ObjectMeta {
	o := &metav1.ObjectMeta{
		Name: name, UID: types.UID(uid), ResourceVersion: "1", Labels: map[string]string{}, Annotations: map[string]string{"description": annotation},
	}
	for i := 0; i < len(labels); i += 2 {
		o.Labels[labels[i]] = labels[i+1]
	}
	return o
}

func record(t *testing.T, o *metav1.ObjectMeta) resource.Record {
	t.Helper()
	keep, err := resource.NewAnnotationFilter([]string{"description"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resource.NewRecord(o, keep)
}

// TestTrackerCountsWhatDebouncingWouldSend has objects of every kind of restlessness in one minute.
func TestTrackerCountsWhatDebouncingWouldSend(t *testing.T) {
	const quiet, maxWait = 10 * time.Second, 30 * time.Second
	k := newTracker(quiet, maxWait)
	upsert := func(after time.Duration, o *metav1.ObjectMeta) {
		k.upsert(node.ID("", o.Name), record(t, o), at(after))
	}
	for _, name := range []string{"minutely", "secondly", "undone", "status", "gone"} {
		k.begin(node.ID("", name), record(t, object(name, "u", "d", "zone", "a")))
	}
	upsert(time.Second, object("minutely", "u", "d", "zone", "a", "clock", "1"))
	for s := range 60 { // never quiet: it is sent each time the max wait is over
		upsert(time.Second*time.Duration(s), object("secondly", "u", string(rune('A'+s)), "zone", "a"))
		upsert(time.Second*time.Duration(s), object("status", "u", "d", "zone", "a"))
	}
	upsert(59*time.Second, object("undone", "u", "d", "zone", "b"))
	upsert(59*time.Second+time.Millisecond, object("undone", "u", "d", "zone", "a"))
	upsert(59*time.Second+time.Millisecond, object("gone", "u", "d", "zone", "b"))
	k.remove(node.ID("", "gone"), at(59*time.Second+2*time.Millisecond))
	k.remove(node.ID("", "never seen"), at(59*time.Second+2*time.Millisecond))
	upsert(59*time.Second+3*time.Millisecond, object("new", "u", "d"))
	upsert(59*time.Second+4*time.Millisecond, object("minutely", "v", "d", "zone", "a", "clock", "1"))
	k.finish(at(time.Minute))

	all, worst := k.report(time.Minute)
	// secondly is sent after 30 s, and its later changes wait at the end. minutely is sent when it has been quiet, and
	// again.
	wantAll := PerDay{Embeddings: 5 * 1440, Changes: (2 + 60 + 2 + 1 + 1) * 1440, Deletes: 1440}
	if diff := cmp.Diff(wantAll, all); diff != "" {
		t.Errorf("a day (-want +got):\n%s", diff)
	}
	want := []Restless{
		{ID: "_cluster/v1/Node/secondly", Changes: 60, Embeddings: 2, EmbeddingsPerDay: 2880, Causes: []string{"annotation description"}},
		{ID: "_cluster/v1/Node/minutely", Changes: 2, Embeddings: 2, EmbeddingsPerDay: 2880, Causes: []string{"label clock", recreated}},
		{ID: "_cluster/v1/Node/new", Changes: 1, Embeddings: 1, EmbeddingsPerDay: 1440, Causes: []string{created}},
		{ID: "_cluster/v1/Node/undone", Changes: 2, Causes: []string{"label zone"}},
		{ID: "_cluster/v1/Node/gone", Changes: 1, Causes: []string{"label zone"}},
	}
	if diff := cmp.Diff(want, worst); diff != "" {
		t.Errorf("restless (-want +got):\n%s", diff)
	}
}

// TestTrackerNamesALabelThatIsRemoved has a label come and go.
func TestTrackerNamesALabelThatIsRemoved(t *testing.T) {
	k := newTracker(0, 0)
	id := node.ID("", "n")
	k.begin(id, record(t, object("n", "u", "d", "a", "1", "b", "1")))
	k.upsert(id, record(t, object("n", "u", "d", "b", "1", "c", "1")), at(time.Second))
	k.finish(at(time.Minute))
	_, worst := k.report(time.Minute)
	if want := []string{"label a", "label c"}; len(worst) != 1 || !cmp.Equal(want, worst[0].Causes) {
		t.Errorf("restless is %+v, want one for %v", worst, want)
	}
}
