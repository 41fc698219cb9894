package progress_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

func pod(name string, version uint64) resource.Record {
	return resource.Record{Namespace: "a", Name: name, ResourceVersion: version, Digest: version}
}

// says is a checkpoint of a member that is alone, and has read an index.
func says(name string, x *index.Index) checkpoint.Checkpoint {
	version := x.Type(pods).Version
	sum, _ := x.SumAt(pods, version)
	return checkpoint.Checkpoint{
		Member: name, View: []string{name}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{pods.String(): {Low: version, High: version, Sum: sum, SumAt: version}},
	}
}

// TestPublisher_LeavesAPeerThatMayNotKnow_NamesWhatHasChanged since the peer is known to have had what we have.
func TestPublisher_LeavesAPeerThatMayNotKnow_NamesWhatHasChanged(t *testing.T) {
	t.Parallel()
	both := []resource.Record{pod("old", 101)}
	events := []resource.Record{pod("one", 102), pod("two", 103), pod("three", 104)}
	for name, tt := range map[string]struct {
		peer    func(x *index.Index) // nil: it has no checkpoint
		state   ownership.State
		leaving bool
		want    []resource.ID
	}{
		"it has seen the same": {func(x *index.Index) {
			for _, e := range events {
				x.Upsert(pods, e)
			}
		}, ownership.Live, true, nil},
		"it had seen the same when it said so": {func(x *index.Index) { x.Upsert(pods, events[0]) }, ownership.Live, true, []resource.ID{"a/v1/Pod/three", "a/v1/Pod/two"}},
		"it has lost an event": {func(x *index.Index) {
			x.Upsert(pods, events[1])
			x.Upsert(pods, events[2])
		}, ownership.Live, true, []resource.ID{"a/v1/Pod/old", "a/v1/Pod/one", "a/v1/Pod/three", "a/v1/Pod/two"}},
		"it says nothing": {nil, ownership.Live, true, []resource.ID{"a/v1/Pod/one", "a/v1/Pod/three", "a/v1/Pod/two"}},
		"it is gone":      {nil, ownership.Dead, true, nil},
		"we stay":         {nil, ownership.Live, false, nil},
	} {
		client := fake.NewClientset()
		r := newReplica(t, client, "a")
		r.index.Replace(pods, both, 101)
		if tt.peer != nil {
			x := index.New(nil)
			x.Replace(pods, both, 101)
			tt.peer(x)
			c := says("b", x)
			if err := storeOf(client, "b", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), c, c, checkpoint.Beside{}); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range events {
			r.index.Upsert(pods, e)
		}
		if err := r.store.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		for member, state := range map[string]ownership.State{"a": ownership.Live, "b": tt.state} {
			r.view.Leases = append(r.view.Leases, ownership.MemberStatus{Lease: ownership.Lease{Member: member, State: state}})
		}
		r.leaving = tt.leaving
		r.PublishLast(t.Context())
		var got []resource.ID
		for _, o := range written(t, client).Lists()["a"].Open {
			if o.Lives {
				got = append(got, o.ID)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: named (-want +got):\n%s", name, diff)
		}
	}
}

// TestPublisher_ItsOwnSumsAreYoung_NamesWhatHasChangedSinceTheLastAgreement: a peer had the same until version 102, and
// has lost an event since. We have just listed the type, so we remember no sum of the time between.
func TestPublisher_ItsOwnSumsAreYoung_NamesWhatHasChangedSinceTheLastAgreement(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	r, x := newReplica(t, client, "a"), index.New(nil)
	all := []resource.Record{pod("old", 101), pod("one", 102)}
	store := storeOf(client, "b", checkpoint.NewLedger("f", ring.DefaultFormat()))
	hear := func() {
		t.Helper()
		c := says("b", x)
		if err := store.Publish(t.Context(), c, c, checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		if err := r.store.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.ForgetCovered()
	}
	r.index.Replace(pods, all, 102)
	x.Replace(pods, all, 102)
	hear()
	all = append(all, pod("two", 103), pod("three", 104))
	r.index.Replace(pods, all, 105)
	x.Upsert(pods, all[3])
	hear()
	for _, member := range []string{"a", "b"} {
		r.view.Leases = append(r.view.Leases, ownership.MemberStatus{Lease: ownership.Lease{Member: member, State: ownership.Live}})
	}
	r.leaving = true
	r.PublishLast(t.Context())
	var got []resource.ID
	for _, o := range written(t, client).Lists()["a"].Open {
		if o.Lives {
			got = append(got, o.ID)
		}
	}
	if diff := cmp.Diff([]resource.ID{"a/v1/Pod/three", "a/v1/Pod/two"}, got); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
}

// TestReceive_OfWhatLived_OnlyWhatAListLacksIsDeleted: an object that our index lacks is no evidence by itself.
func TestReceive_OfWhatLived_OnlyWhatAListLacksIsDeleted(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	theirs := index.New(nil)
	theirs.Replace(pods, []resource.Record{pod("x", 1)}, 100)
	theirs.Upsert(pods, pod("x", 103))
	theirs.Upsert(pods, pod("lost", 105))
	open := []checkpoint.Tombstone{
		{Type: "pods.v1", ID: pods.ID("a", "x"), Version: 103, Lives: true}, {Type: "pods.v1", ID: pods.ID("a", "lost"), Version: 105, Lives: true},
	}
	c := says("gone", theirs)
	if err := storeOf(client, "gone", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), c, c, checkpoint.Beside{Open: open}); err != nil {
		t.Fatal(err)
	}
	r := newReplica(t, client, "a")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.store.Run(ctx) }()
	<-r.store.Synced()
	step := func(what string, doubted int, want []string, done bool) {
		t.Helper()
		_, struck := r.Receive()["gone"]
		var deleted []string
		r.pipeline.PendingDeletions(pods, func(_, name string) { deleted = append(deleted, name) })
		if diff := cmp.Diff(want, deleted); diff != "" || r.doubted != doubted || struck != done {
			t.Errorf("%s: doubted %d times, done %v; deleted (-want +got):\n%s", what, r.doubted, struck, diff)
		}
	}
	step("our index has not come so far", 0, nil, false)
	r.index.Bookmark(pods, 105)
	step("it has, and has lost both", 2, nil, false)
	r.index.Merge(pods, []resource.Record{pod("x", 103)}, 106)
	step("a list is half the truth, and brings one", 3, nil, false)
	r.index.Replace(pods, []resource.Record{pod("x", 103)}, 107)
	step("a complete list lacks the other", 3, []string{"lost"}, false)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestReceive_OfWhatLivedAndWeHaveSeenGo_NothingIsDone has equal sums at the time when the other left.
func TestReceive_OfWhatLivedAndWeHaveSeenGo_NothingIsDone(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	r := newReplica(t, client, "a")
	r.index.Upsert(pods, pod("short", 105))
	c := says("gone", r.index)
	open := []checkpoint.Tombstone{{Type: "pods.v1", ID: pods.ID("a", "short"), Version: 105, Lives: true}}
	if err := storeOf(client, "gone", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), c, c, checkpoint.Beside{Open: open}); err != nil {
		t.Fatal(err)
	}
	r.index.Delete(pods, "a", "short", 110)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.store.Run(ctx) }()
	<-r.store.Synced()
	if done := r.Receive(); len(done) != 1 || r.doubted > 0 {
		t.Errorf("done %v, doubted %d times", done, r.doubted)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestCarryOn_OfWhatLived_TheListOfTheStartDecides: the objects of our predecessor are never named as living beside
// a sum of ours, with which others might agree.
func TestCarryOn_OfWhatLived_TheListOfTheStartDecides(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	theirs := index.New(nil)
	theirs.Replace(pods, []resource.Record{pod("x", 1), pod("lost", 95)}, 100)
	c := says("a", theirs)
	open := []checkpoint.Tombstone{
		{Type: "pods.v1", ID: pods.ID("a", "x"), Version: 1, Lives: true}, {Type: "pods.v1", ID: pods.ID("a", "lost"), Version: 95, Lives: true},
	}
	if err := storeOf(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), c, c, checkpoint.Beside{Open: open}); err != nil {
		t.Fatal(err)
	}
	r := newReplica(t, client, "a")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.store.Run(ctx) }()
	<-r.store.Synced()
	r.PublishLast(t.Context())
	want := []checkpoint.Tombstone{open[1].Deletion()}
	if diff := cmp.Diff(want, written(t, client).Lists()["a"].Open); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPublisher_ItsWatchHadLostAState_TheOwnerIsToldUntilItHasSentIt: a checkpoint that covers the object by its
// version does not count, for it may be our own, which was wrong.
func TestPublisher_ItsWatchHadLostAState_TheOwnerIsToldUntilItHasSentIt(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	loser, owner := newReplica(t, client, "a"), newReplica(t, client, "b")
	owner.index.Upsert(pods, pod("lost", 105))
	loser.index.Bookmark(pods, 110)
	list := []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 1, Digest: 1}, pod("lost", 105)}
	loser.index.Replace(pods, list, 110)
	loser.PublishLast(t.Context())
	want := []checkpoint.Tombstone{{Type: pods.String(), ID: pods.ID("a", "lost"), Version: 110, Digest: 105, Lives: true, Lost: true}}
	if diff := cmp.Diff(want, written(t, client).Lists()["a"].Open); diff != "" {
		t.Errorf("named (-want +got):\n%s", diff)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- owner.store.Run(ctx) }()
	<-owner.store.Synced()
	owner.Receive()
	if got := owner.pipeline.Lost(); len(got) > 0 {
		t.Errorf("%v is sent before our index has come so far", got)
	}
	owner.index.Bookmark(pods, 110)
	if done := owner.Receive(); len(done) > 0 || len(owner.pipeline.Lost()) != 1 {
		t.Errorf("done %v; to be sent: %v", done, owner.pipeline.Lost())
	}
	if owner.set.Deliver(want[0].Name(), time.Now()); len(owner.Receive()) != 1 {
		t.Error("it is not done when it is sent")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestPublisher_ClaimIsTheSameForLong_ItHasSpokenForNobodyElse: the owners have seen the events that such a member
// loses.
func TestPublisher_ClaimIsTheSameForLong_ItHasSpokenForNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		r := newReplica(t, client, "a")
		version := uint64(100)
		agree := func() {
			t.Helper()
			version++
			r.index.Upsert(pods, pod("x", version))
			c := says("b", r.index)
			if err := storeOf(client, "b", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), c, c, checkpoint.Beside{}); err != nil {
				t.Fatal(err)
			}
			if err := r.store.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.ForgetCovered()
		}
		step := func(what string, want bool, after time.Duration, do func()) {
			t.Helper()
			time.Sleep(after)
			do()
			if got := r.MayHaveSpoken(pods); got != want {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		step("we have just joined", true, 0, func() { r.PublishLast(t.Context()) })
		step("a sum that is ours may be of before that", true, 30*time.Second, agree)
		step("it is of after that", false, 31*time.Second, agree)
		step("we have said the same again", false, time.Second, func() { r.PublishLast(t.Context()) })
		r.view.Members = []string{"a", "b"}
		step("another has joined", true, time.Second, func() { r.PublishLast(t.Context()) })
	})
}
