package app_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
)

// TestWhoeverLeavesNamesEveryDeletionThatWaits is a ghost of a storm: an object was created, delivered and deleted between
// two checkpoints; its owner was killed, those who had seen the deletion left one after the other, and the API server was
// started anew. Nobody was left who could know, but their last checkpoints.
func TestWhoeverLeavesNamesEveryDeletionThatWaits(t *testing.T) {
	t.Parallel()
	x, leaver := index.New(nil), idle()
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "stays", ResourceVersion: 1, Digest: 1}}, 100)
	defer x.Listen(leaver)()
	for i, name := range []string{"brief", "other"} {
		x.Upsert(pods, resource.Record{Namespace: "a", Name: name, ResourceVersion: uint64(101 + 2*i), Digest: 1})
		x.Delete(pods, "a", name, uint64(102+2*i))
	}
	brief := checkpoint.Deletion{Type: "pods.v1", ID: pods.ID("a", "brief"), After: 101, Version: 102}
	other := checkpoint.Deletion{Type: "pods.v1", ID: pods.ID("a", "other"), After: 103, Version: 104}
	mine := func(id resource.ID) bool { return id == brief.ID }
	if diff := cmp.Diff(checkpoint.Deletions{brief}, app.Pending(leaver, mine, false)); diff != "" {
		t.Errorf("while it works, its own (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(checkpoint.Deletions{brief, other}, app.Pending(leaver, mine, true)); diff != "" {
		t.Errorf("when it leaves (-want +got):\n%s", diff)
	}
}

// TestWhatOnlyOthersHaveToldIsNamedByWhoeverHasHeard: the checkpoint that it was taken from may be overwritten.
func TestWhatOnlyOthersHaveToldIsNamedByWhoeverHasHeard(t *testing.T) {
	t.Parallel()
	nobody := func(resource.ID) bool { return false }
	x, p := index.New(nil), idle()
	x.Replace(pods, nil, 200)
	book := bookOf(t, "gone", checkpoint.Beside{Pending: checkpoint.Deletions{{Type: "pods.v1", ID: pods.ID("a", "brief"), After: 101, Version: 102}}}, nil)
	app.NewHearer(x, p, book).Hear()
	want := checkpoint.Deletions{{Type: "pods.v1", ID: pods.ID("a", "brief"), After: 101, Version: 102}}
	if diff := cmp.Diff(want, app.Pending(p, nobody, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestWhatWaitedAtAMemberThatIsGoneIsTaken is what whoever comes does with such a checkpoint.
func TestWhatWaitedAtAMemberThatIsGoneIsTaken(t *testing.T) {
	t.Parallel()
	list := checkpoint.Deletions{{Type: widgets("v1").String(), ID: widgets("v1").ID("a", "x"), Version: 7}, // sorted, as it is written
		{Type: "pods.v1", ID: pods.ID("a", "brief"), After: 101, Version: 102}, {Type: "pods.v1", ID: "not an ID", Version: 7}}
	left := checkpoint.Beside{Pending: list}
	there := []resource.Record{{Namespace: "a", Name: "stays", ResourceVersion: 1, Digest: 1}}
	took := map[string]string{"gone": list.Sum()}

	x, comer := index.New(nil), idle()
	h := app.NewHearer(x, comer, bookOf(t, "gone", left, nil))
	for _, begin := range []func(){func() {}, func() { x.Bookmark(pods, 1) }} { // not a type is known; one is, and has not been listed
		begin()
		if _, taken := h.Hear(); len(taken) > 0 {
			t.Fatal("taken before it is known what there is")
		}
	}
	x.Replace(pods, there, 200)
	alive := ownership.MemberStatus{Lease: ownership.Lease{Member: "gone", Incarnation: "gone.2", State: ownership.Live}}
	other := idle()
	if _, taken := app.NewHearer(x, other, bookOf(t, "gone", left, nil), alive).Hear(); len(taken) > 0 || len(pending(other)) > 0 {
		t.Error("taken from a member that is there, and answers for it")
	}
	ended := app.NewHearer(x, other, bookOf(t, "gone", left, nil))
	ended.Deafen()
	if _, taken := ended.Hear(); len(taken) > 0 || len(pending(other)) > 0 {
		t.Error("taken by a replica whose pipeline has ended, which keeps nothing")
	}
	if _, taken := h.Hear(); len(taken) > 0 {
		t.Error("taken although a type is not known yet: it may be served a little later")
	}
	want := []string{"brief"}
	if diff := cmp.Diff(want, pending(comer)); diff != "" {
		t.Errorf("whoever comes has to delete (-want +got):\n%s", diff)
	}
	x.Replace(widgets("v1"), nil, 300)
	for range 2 {
		if _, taken := h.Hear(); cmp.Diff(took, taken) != "" {
			t.Errorf("taken: %v", taken)
		}
	}
	if diff := cmp.Diff(want, pending(comer)); diff != "" {
		t.Errorf("in the end it has to delete, of the pods (-want +got):\n%s", diff)
	}

	for name, c := range map[string]checkpoint.Checkpoint{
		"the deletion was delivered, and said to be":  {Types: map[string]checkpoint.Entry{"pods.v1": {Low: 300, High: 300, Since: 90}}},
		"the owner has taken the list, and delivered": {Taken: took, Types: map[string]checkpoint.Entry{"pods.v1": {Low: 300, High: 300, Since: 290}}},
	} {
		c.Member, c.View, c.RingFormat, c.Fingerprint = "b", []string{"b"}, ring.DefaultFormat().String(), "f"
		late := idle()
		if _, taken := app.NewHearer(x, late, bookOf(t, "gone", left, &c)).Hear(); cmp.Diff(took, taken) != "" || len(pending(late)) > 0 {
			t.Errorf("%s: taken %v, deleted once more: %v", name, taken, pending(late))
		}
	}
	for name, c := range map[string]checkpoint.Checkpoint{
		"the owner has taken an earlier list": {Taken: map[string]string{"gone": "another list"}, Types: map[string]checkpoint.Entry{"pods.v1": {Low: 300, High: 300, Since: 290}}},
		"the owner has taken the list, and it waits there": {Taken: took, Types: map[string]checkpoint.Entry{
			"pods.v1": {Low: 300, High: 300, Since: 290, Deleted: 101, Except: []uint32{checkpoint.Short(pods.ID("a", "brief"))}},
		}},
	} {
		c.Member, c.View, c.RingFormat, c.Fingerprint = "b", []string{"b"}, ring.DefaultFormat().String(), "f"
		again := idle()
		app.NewHearer(x, again, bookOf(t, "gone", left, &c)).Hear()
		if diff := cmp.Diff([]string{"brief"}, pending(again)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestOfTooManyThatWaitOurOwnAndTheLatestAreNamed: what was deleted long after it was created is shown by a list of the past.
func TestOfTooManyThatWaitOurOwnAndTheLatestAreNamed(t *testing.T) {
	t.Parallel()
	x, leaver := index.New(nil), idle()
	x.Replace(pods, nil, 100)
	defer x.Listen(leaver)()
	const more = 10
	for i := range checkpoint.MaxPending + more {
		x.Delete(pods, "a", fmt.Sprint(i), uint64(101+i))
	}
	first := pods.ID("a", "0")
	list := app.Pending(leaver, func(id resource.ID) bool { return id == first }, true)
	named := make(map[resource.ID]bool, len(list))
	for _, d := range list {
		named[d.ID] = true
	}
	if len(list) != checkpoint.MaxPending || !named[first] {
		t.Errorf("%d are named, want %d; our own among them: %v", len(list), checkpoint.MaxPending, named[first])
	}
	for i := 1; i <= more; i++ {
		if named[pods.ID("a", fmt.Sprint(i))] {
			t.Errorf("the deletion at %d is named, and a later one is not", 101+i)
		}
	}
}

// TestWhoHasLostItsLeaseSaysWhatWaitsAllTheSame: the API server was away for longer than the Lease lasts, and is back when
// we leave.
func TestWhoHasLostItsLeaseSaysWhatWaitsAllTheSame(t *testing.T) {
	t.Parallel()
	client, format := fake.NewClientset(), ring.DefaultFormat()
	x, leaver := index.New(nil), idle()
	x.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 1, Digest: 1}}, 100)
	defer x.Listen(leaver)()
	own := checkpoint.Checkpoint{Member: "a", View: []string{"a"}, RingFormat: format.String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: 100, High: 100}}}
	ours := storeOf(client, "a", checkpoint.NewBook("f", format))
	if err := ours.Publish(t.Context(), own, own, checkpoint.Beside{}); err != nil {
		t.Fatal(err)
	}
	read := func() *checkpoint.Book {
		t.Helper()
		book := checkpoint.NewBook("f", format)
		if err := storeOf(client, "reader", book).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return book
	}
	if !app.Farewell(t.Context(), leaver, ours, &own) || len(read().Pending()) > 0 {
		t.Error("nothing waits, and something was said")
	}
	x.Delete(pods, "a", "x", 102)
	if !app.Farewell(t.Context(), leaver, ours, nil) || len(read().Pending()) > 0 {
		t.Error("whoever has said nothing before has nothing to add to")
	}
	if !app.Farewell(t.Context(), leaver, ours, &own) {
		t.Error("not done")
	}
	want := checkpoint.Deletions{{Type: "pods.v1", ID: pods.ID("a", "x"), After: 101, Version: 102}}
	book := read()
	if diff := cmp.Diff(want, book.Pending()["a"].Deletions); diff != "" || book.Bound("pods.v1") != 100 {
		t.Errorf("bound %d; (-want +got):\n%s", book.Bound("pods.v1"), diff)
	}
	// Its successor has written since: its word stays, and there is nothing more to be done.
	late := storeOf(client, "a", checkpoint.NewBook("f", format))
	x.Delete(pods, "a", "y", 103)
	if !app.Farewell(t.Context(), leaver, late, &own) {
		t.Error("tries to overwrite its successor")
	}
	if diff := cmp.Diff(want, read().Pending()["a"].Deletions); diff != "" {
		t.Errorf("after its successor (-want +got):\n%s", diff)
	}
}

// TestTheLastWordIsWorthTheTimeThatIsLeft when deletions wait: an API server that is away may come back.
func TestTheLastWordIsWorthTheTimeThatIsLeft(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	for _, tt := range []struct {
		left  time.Duration
		waits bool
		want  time.Duration
	}{{25 * time.Second, true, 25 * time.Second}, {25 * time.Second, false, 5 * time.Second}, {time.Second, true, 5 * time.Second}, {-time.Second, true, 5 * time.Second}} {
		if got := app.ReleaseBy(now, now.Add(tt.left), tt.waits).Sub(now); got != tt.want {
			t.Errorf("%v are left, deletions wait: %v; it may take %v, want %v", tt.left, tt.waits, got, tt.want)
		}
	}
}

func storeOf(client *fake.Clientset, member string, b *checkpoint.Book) *checkpoint.Store {
	return checkpoint.NewStore(client.CoreV1(), b, checkpoint.StoreOptions{Namespace: "ns", Ring: "ring", Target: "default", Member: member, Log: logr.Discard()})
}

// bookOf returns a book with what one member has written, and the word of another.
func bookOf(t *testing.T, member string, beside checkpoint.Beside, other *checkpoint.Checkpoint) *checkpoint.Book {
	t.Helper()
	client, format := fake.NewClientset(), ring.DefaultFormat()
	word := checkpoint.Checkpoint{Member: member, Incarnation: member + ".1", View: []string{member}, RingFormat: format.String(), Fingerprint: "f"}
	if err := storeOf(client, member, checkpoint.NewBook("f", format)).Publish(t.Context(), word, word, beside); err != nil {
		t.Fatal(err)
	}
	book := checkpoint.NewBook("f", format)
	if err := storeOf(client, "reader", book).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if other != nil && !book.Set("other", *other) {
		t.Fatal("not believed")
	}
	return book
}
