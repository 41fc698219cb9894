package checkpoint_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func store(client *fake.Clientset, member string, ledger *checkpoint.Ledger) *checkpoint.Store {
	return checkpoint.NewStore(client.CoreV1(), ledger, checkpoint.StoreOptions{
		Namespace: "ns", Ring: "r", Target: "default", Member: member, DoubtFor: doubtFor, Changed: func() {},
	})
}

const doubtFor = 5 * time.Minute

func word(member string, version uint64) checkpoint.Checkpoint {
	return checkpoint.Checkpoint{Member: member, View: []string{member}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f",
		Types: map[string]checkpoint.Entry{"pods.v1": {Low: version, High: version}}}
}

func TestStore_MemberPublishes_OthersBelieveIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		writer := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
		if err := writer.Publish(t.Context(), word("a", 10), word("a", 10), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
		reader := store(client, "b", ledger)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- reader.Run(ctx) }()
		<-reader.Synced()
		if !ledger.Covers("pods.v1", id(1), 10) {
			t.Error("what was there at the start is not believed")
		}
		if err := writer.Publish(t.Context(), word("a", 20), word("a", 20), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !ledger.Covers("pods.v1", id(1), 20) {
			t.Error("what was published later is not believed")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestRefreshReadsWhatTheWatchHasNotShown(t *testing.T) {
	client := fake.NewClientset()
	writer := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
	c := word("a", 20)
	c.Types["pods.v1"] = checkpoint.Entry{Low: 20, High: 20, Event: 19}
	if err := writer.Publish(t.Context(), c, c, checkpoint.Beside{}); err != nil {
		t.Fatal(err)
	}
	ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
	reader := store(client, "b", ledger) // its watch does not run
	if err := reader.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !ledger.Covers("pods.v1", id(1), 20) || ledger.Bound("pods.v1") != 20 {
		t.Error("what the API server holds is not believed")
	}
	if got := ledger.Events("b"); got["pods.v1"] != 19 || len(ledger.Events("a")) != 0 {
		t.Errorf("events of others are %v, want 19 for b and none for a itself", got)
	}
}

func TestAnUnchangedCheckpointIsNotWrittenAgain(t *testing.T) {
	client := fake.NewClientset()
	s := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
	for range 3 {
		if err := s.Publish(t.Context(), word("a", 10), word("a", 10), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(client.Actions()); n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
}

func TestStore_PredecessorsConfigMap_IsTakenOver(t *testing.T) {
	client := fake.NewClientset()
	first, second := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())), store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
	for version, s := range map[uint64]*checkpoint.Store{10: first} {
		if err := s.Publish(t.Context(), word("a", version), word("a", version), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := second.Publish(t.Context(), word("a", 20), word("a", 20), checkpoint.Beside{}); err != nil {
		t.Fatal(err)
	}
	m, err := client.CoreV1().ConfigMaps("ns").Get(t.Context(), "r-default-a", metav1.GetOptions{})
	if err != nil || !strings.Contains(m.Data["checkpoint"], `"high":20`) {
		t.Errorf("%v %v", m, err)
	}
}

func TestAMissingPermissionIsSaidAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		forbid := func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "", errors.New("no"))
		}
		client.PrependReactor("list", "configmaps", forbid)
		client.PrependWatchReactor("configmaps", func(clienttesting.Action) (bool, watch.Interface, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "configmaps"}, "", errors.New("no"))
		})
		err := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())).Run(t.Context())
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "namespace ns") {
			t.Errorf("%v, want forbidden and what is needed", err)
		}
	})
}

// TestStore_MemberWithoutLease_OverwritesNoSuccessor: a successor of the member's name may have begun to write.
func TestStore_MemberWithoutLease_OverwritesNoSuccessor(t *testing.T) {
	client := fake.NewClientset()
	first, successor := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())), store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
	last := checkpoint.Beside{Open: []checkpoint.Tombstone{{Type: "pods.v1", ID: id(1), Version: 50}}, Last: true}
	pending := func() int {
		t.Helper()
		ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
		if err := store(client, "b", ledger).Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
		return len(ledger.Lists()["a"].Open)
	}
	if err := first.Publish(t.Context(), word("a", 10), word("a", 10), checkpoint.Beside{}); err != nil {
		t.Fatal(err)
	}
	if err := first.Publish(t.Context(), word("a", 10), word("a", 10), last); err != nil || pending() != 1 {
		t.Fatalf("%v; %d deletions wait, want 1", err, pending())
	}
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "a", errors.New("written since"))
	client.PrependReactor("update", "configmaps", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, conflict })
	if err := first.Publish(t.Context(), word("a", 10), word("a", 10), checkpoint.Beside{Last: true}); !apierrors.IsConflict(err) {
		t.Errorf("%v, want the conflict", err)
	}
	if err := successor.Publish(t.Context(), word("a", 20), word("a", 20), last); !apierrors.IsAlreadyExists(err) {
		t.Errorf("%v, want that it exists already", err)
	}
}

// TestAfterARestoreNoCheckpointIsBelievedForAWhile has the cluster go back in time: another state may have a version
// that the checkpoints cover.
func TestAfterARestoreNoCheckpointIsBelievedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		writer := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat()))
		publish := func(version uint64) {
			if err := writer.Publish(t.Context(), word("a", version), word("a", version), checkpoint.Beside{}); err != nil {
				t.Fatal(err)
			}
		}
		publish(900)
		ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
		reader := store(client, "b", ledger)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- reader.Run(ctx) }()
		<-reader.Synced()
		reader.Void()
		if ledger.Covers("pods.v1", id(1), 300) {
			t.Error("what was said before the restore covers a state after it")
		}
		publish(901) // by a member that has not noticed the restore
		synctest.Wait()
		if ledger.Covers("pods.v1", id(1), 300) {
			t.Error("what was said right after the restore covers a state after it")
		}
		time.Sleep(20 * time.Second)
		publish(310)
		synctest.Wait()
		if !ledger.Covers("pods.v1", id(1), 310) || ledger.Covers("pods.v1", id(1), 900) {
			t.Error("what is said later is not believed, or what was said before is again")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A pod comes back under its name. The doubts of its earlier process stay for as long as a receiver may hold a request,
// also after the pod has written a checkpoint itself. Where the receiver has acknowledged a deletion, the object itself
// has no place in which the doubt is kept, and may exist again a minute later.
func TestStore_OwnEarlierCheckpointHasInDoubt_CountsForUs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		earlier := word("a", 10)
		earlier.Incarnation, earlier.InDoubt = "one.1", []checkpoint.Doubt{{ID: id(1).Hash(), Version: 7, Overwritable: true}}
		if err := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), earlier, word("a", 10), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
		s := store(client, "a", ledger)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		<-s.Synced()
		look := func(when string, want bool) {
			t.Helper()
			if err := s.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, doubted := ledger.Doubtful(id(1)); doubted != want {
				t.Errorf("%s it is in doubt: %v", when, doubted)
			}
		}
		look("before anything has been written", true)
		look("when the earlier checkpoint is read again", true)
		now := word("a", 20)
		now.Incarnation = "two.1"
		if err := s.Publish(t.Context(), now, now, checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		look("after our own checkpoint has taken the place of the earlier one", true)
		time.Sleep(doubtFor)
		look("when a receiver cannot hold a request any more", false)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Our checkpoint replaces that of an earlier process. It repeats the earlier doubts for as long as a receiver may
// hold a request: another member may own the object by now, and may not have read it before.
func TestStore_OwnEarlierCheckpointHasInDoubt_IsRepeatedBesideOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		earlier := word("a", 10)
		earlier.Incarnation = "one.1"
		earlier.InDoubt = []checkpoint.Doubt{{ID: id(1).Hash(), Version: 7, Overwritable: true}, {ID: id(2).Hash(), Version: 7, Overwritable: true}}
		if err := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())).Publish(t.Context(), earlier, word("a", 10), checkpoint.Beside{}); err != nil {
			t.Fatal(err)
		}
		ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
		ours, others := store(client, "a", checkpoint.NewLedger("f", ring.DefaultFormat())), store(client, "b", ledger)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var running sync.WaitGroup
		for _, s := range []*checkpoint.Store{ours, others} {
			running.Go(func() {
				if err := s.Run(ctx); err != nil {
					t.Error(err)
				}
			})
			<-s.Synced()
		}
		say := func(high uint64) {
			now := word("a", high)
			now.Incarnation = "two.1"
			now.InDoubt = []checkpoint.Doubt{{ID: id(2).Hash(), Version: high, Acknowledged: true}}
			if err := ours.Publish(t.Context(), now, now, checkpoint.Beside{}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		say(20)
		if d, doubted := ledger.Doubtful(id(1)); !doubted || d.Version != 7 {
			t.Errorf("of what is not ours any more another member reads %+v, %v", d, doubted)
		}
		if d, _ := ledger.Doubtful(id(2)); d.Version != 20 {
			t.Errorf("of what we know better another member reads %+v", d)
		}
		time.Sleep(doubtFor)
		say(30)
		if d, doubted := ledger.Doubtful(id(1)); doubted {
			t.Errorf("it is told of for ever: %+v", d)
		}
		cancel()
		running.Wait()
	})
}
