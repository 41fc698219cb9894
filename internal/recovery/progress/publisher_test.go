package progress_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/delivery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// searched has searched every type: it knows all of an index, and holds no repair.
type searched struct{ *index.Index }

func (s searched) Coverage(time.Time) map[string]checkpoint.Seen {
	seen := make(map[string]checkpoint.Seen)
	for _, t := range s.Types() {
		version := s.Type(t).Version
		sum, _ := s.SumAt(t, version)
		seen[t.String()] = checkpoint.Seen{Version: version, Event: s.Type(t).Event, Sum: sum, SumAt: version}
	}
	return seen
}

func (searched) Withdraw(_ string, c checkpoint.Seen) checkpoint.Seen { return c }
func (searched) ServedNoLonger(resource.Type) bool                    { return false }
func (searched) Unresolved() []resource.Type                          { return nil }
func (searched) Judged() []string                                     { return nil }
func (searched) Held() map[resource.Type]repair.Held                  { return nil }

// member is a member that may send every object.
type member string

func (m member) Name() string                          { return string(m) }
func (m member) Incarnation() string                   { return string(m) + ".1" }
func (member) MaySend(resource.Type, resource.ID) bool { return true }

// replica is a publisher with its sources, whose pipeline delivers nothing.
type replica struct {
	*progress.Publisher
	index    *index.Index
	pipeline *pipeline.Pipeline
	store    *checkpoint.Store
	ledger   *checkpoint.Ledger
	view     progress.View
	looked   bool
	leaving  bool
	restored bool
	set      *tombstones.Set
	doubted  int // how many times a type was to be listed anew
}

// newReplica returns a replica that is alone in the ring, has read pods up to version 100, with a/x among them, and
// has searched them.
func newReplica(t *testing.T, client *fake.Clientset, name string) *replica {
	t.Helper()
	format := ring.DefaultFormat()
	r := &replica{index: index.New(nil), ledger: checkpoint.NewLedger("f", format), looked: true, view: progress.View{Members: []string{name}, Format: format.String()}}
	r.store = storeOf(client, name, r.ledger)
	set := tombstones.New(r.ledger)
	r.set = set
	answers := progress.Answers{Ledger: r.ledger, Tombstones: set}
	r.pipeline = pipeline.New(nil, wire.DotAI(), delivery.NewBreaker(delivery.BreakerOptions{}), pipeline.Options{
		Target: "default", Owner: member(name), Covers: answers.Covers, Delivered: answers.Delivered, Doubtful: answers.Doubtful,
	})
	yes := func() bool { return true }
	r.Publisher = progress.New(progress.Options{
		Pipeline: r.pipeline, Member: member(name), View: func() progress.View { return r.view }, Index: r.index, Ledger: r.ledger,
		Store: r.store, Tombstones: set, Receiver: progress.Receiver{Fingerprint: "f", Whole: true, Wants: func(resource.Type, string, string) bool { return true }},
		Searches: progress.Searches{Finder: searched{r.index}, Orphans: searched{r.index}, Deleter: &repair.Deleter{
			Index: r.index, Pipeline: r.pipeline, Hides: func(resource.Type, string, string) bool { return false },
		}, Doubt: func(resource.Type) { r.doubted++ }},
		Life: progress.Life{
			Read: yes, Backfilled: yes, Looked: func() bool { return r.looked }, Leaving: func() bool { return r.leaving },
			Restoring: func() bool { return r.restored },
		},
		Log: logr.Discard(),
	})
	r.index.Replace(pods, []resource.Record{{Namespace: "a", Name: "x", ResourceVersion: 1, Digest: 1}}, 100)
	t.Cleanup(r.index.Listen(r.pipeline))
	return r
}

func storeOf(client *fake.Clientset, member string, l *checkpoint.Ledger) *checkpoint.Store {
	return checkpoint.NewStore(client.CoreV1(), l, checkpoint.StoreOptions{Namespace: "ns", Ring: "ring", Target: "default", Member: member, Changed: func() {}, Log: logr.Discard()})
}

// written are the checkpoints as another member reads them.
func written(t *testing.T, client *fake.Clientset) *checkpoint.Ledger {
	t.Helper()
	ledger := checkpoint.NewLedger("f", ring.DefaultFormat())
	if err := storeOf(client, "reader", ledger).Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return ledger
}

// refuse has the API server answer writes of ConfigMaps with an error until it is nil. It counts them.
func refuse(client *fake.Clientset) (err *atomic.Pointer[error], writes *atomic.Int64) {
	err, writes = &atomic.Pointer[error]{}, &atomic.Int64{}
	client.PrependReactor("*", "configmaps", func(a clienttesting.Action) (bool, runtime.Object, error) {
		if verb := a.GetVerb(); verb != "create" && verb != "update" {
			return false, nil, nil
		}
		writes.Add(1)
		if e := err.Load(); e != nil {
			return true, nil, *e
		}
		return false, nil, nil
	})
	return err, writes
}

// TestPublisher_LeaseIsLost_SaysWhatWaitsAllTheSame: the API server was away for longer than the Lease lasts, and
// is back when we leave.
func TestPublisher_LeaseIsLost_SaysWhatWaitsAllTheSame(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	refused, writes := refuse(client)
	r := newReplica(t, client, "a")
	r.leaving, r.view.Members = true, nil
	r.index.Delete(pods, "a", "x", 101)
	if r.PublishLast(t.Context()); writes.Load() != 0 {
		t.Error("a member that has said nothing before has nothing to add to")
	}
	r = newReplica(t, client, "a")
	r.PublishLast(t.Context())
	r.leaving, r.view.Members = true, nil
	before := writes.Load()
	if r.PublishLast(t.Context()); writes.Load() != before || len(written(t, client).Lists()["a"].Open) > 0 {
		t.Error("nothing waits, and something was said")
	}
	r.index.Delete(pods, "a", "x", 102)
	r.PublishLast(t.Context())
	want := []checkpoint.Tombstone{{Type: "pods.v1", ID: pods.ID("a", "x"), Version: 102}}
	ledger := written(t, client)
	if diff := cmp.Diff(want, ledger.Lists()["a"].Open); diff != "" || ledger.Bound("pods.v1") != 100 {
		t.Errorf("bound %d; (-want +got):\n%s", ledger.Bound("pods.v1"), diff)
	}
	// Its successor has written since: that checkpoint stays, and there is nothing more to do.
	conflict := error(apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "a", errors.New("newer")))
	refused.Store(&conflict)
	r.index.Delete(pods, "a", "y", 103)
	before = writes.Load()
	if r.PublishLast(t.Context()); writes.Load() != before+1 {
		t.Errorf("tries %d times to overwrite its successor, want once", writes.Load()-before)
	}
	if diff := cmp.Diff(want, written(t, client).Lists()["a"].Open); diff != "" {
		t.Errorf("after its successor (-want +got):\n%s", diff)
	}
}

// A checkpoint without news is not written again, one with news is, and none is written before the cluster is known.
func TestPublisher_NothingIsNew_IsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	_, writes := refuse(client)
	r := newReplica(t, client, "a")
	step := func(what string, want int64, prepare func()) {
		t.Helper()
		prepare()
		r.Publish(t.Context())
		if got := writes.Load(); got != want {
			t.Errorf("%s: written %d times in all, want %d", what, got, want)
		}
	}
	step("nothing has been looked at", 0, func() { r.looked = false })
	step("the cluster goes back in time", 0, func() { r.looked, r.restored = true, true })
	step("all is read", 1, func() { r.restored = false })
	step("nothing has changed", 1, func() {})
	step("a type goes on", 2, func() { r.index.Bookmark(pods, 120) })
	step("only what we write ourselves goes on", 3, func() {
		r.index.Replace(resource.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}, nil, 100)
		r.index.Bookmark(pods, 121)
	})
	step("and again", 3, func() {
		r.index.Bookmark(resource.Type{Version: "v1", Resource: "configmaps", Kind: "ConfigMap", Namespaced: true}, 130)
	})
	if r.PublishLast(t.Context()); writes.Load() != 4 {
		t.Errorf("a last word is written in any case: %d times in all, want 4", writes.Load())
	}
	if bound := written(t, client).Bound("pods.v1"); bound != 121 {
		t.Errorf("others read that deletions are delivered up to %d, want 121", bound)
	}
}

// A process that gives something up before it has read the cluster leaves what its name has said. Beside that it tells
// what its own requests may still undo, for the new owner has to repeat the last word.
func TestPublisher_HandsOverBeforeItHasRead_NamesWhatIsInDoubt(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	refused, writes := refuse(client)
	newReplica(t, client, "a").PublishLast(t.Context())
	r := newReplica(t, client, "a")
	r.looked = false
	if r.PublishLast(t.Context()); writes.Load() != 1 {
		t.Errorf("nothing is in doubt: written %d times in all, want 1", writes.Load())
	}
	r.index.Delete(pods, "a", "x", 102)
	r.pipeline.Doubt(func(resource.Type, resource.ID) bool { return true })
	if r.Publish(t.Context()); writes.Load() != 1 {
		t.Errorf("nothing is given up: written %d times in all, want 1", writes.Load())
	}
	r.restored = true
	if r.PublishLast(t.Context()); writes.Load() != 1 {
		t.Errorf("the cluster has gone back in time: written %d times in all, want 1", writes.Load())
	}
	r.restored = false
	conflict := error(apierrors.NewConflict(schema.GroupResource{Resource: "configmaps"}, "a", errors.New("newer")))
	refused.Store(&conflict)
	time.AfterFunc(100*time.Millisecond, func() { refused.Store(nil) })
	r.PublishLast(t.Context())
	ledger := written(t, client)
	if d, doubted := ledger.Doubtful(pods.ID("a", "x")); !doubted || d.Version != 102 || d.Acknowledged {
		t.Errorf("others read of the doubt %+v, %v", d, doubted)
	}
	want := []checkpoint.Tombstone{{Type: "pods.v1", ID: pods.ID("a", "x"), Version: 102}}
	if diff := cmp.Diff(want, ledger.Lists()["a"].Open); diff != "" || ledger.Bound("pods.v1") != 100 {
		t.Errorf("bound %d, want 100 as before; (-want +got):\n%s", ledger.Bound("pods.v1"), diff)
	}
	before := writes.Load()
	if r.PublishLast(t.Context()); writes.Load() != before {
		t.Error("what is there already was written again")
	}
	r.looked = true
	if r.PublishLast(t.Context()); writes.Load() != before+1 || written(t, client).Bound("pods.v1") != 101 {
		t.Errorf("once it has read, others read the bound %d, want 101, below what is open", written(t, client).Bound("pods.v1"))
	}
}

// A last checkpoint that cannot be written is tried until it is, or until there is no more time.
func TestPublisher_LastWordIsRefused_IsTriedUntilTheEnd(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	refused, writes := refuse(client)
	away := errors.New("the API server is away")
	refused.Store(&away)
	r := newReplica(t, client, "a")
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if r.PublishLast(ctx); writes.Load() < 2 || ctx.Err() == nil {
		t.Errorf("tried %d times, %v", writes.Load(), ctx.Err())
	}
	refused.Store(nil)
	if r.PublishLast(t.Context()); written(t, client).Bound("pods.v1") != 100 {
		t.Error("it is not written when the API server is back")
	}
}

// The owner of an object takes its open tombstone, if the owner's index has reached it and lacks the object.
func TestPublisher_TombstoneIsOpen_IsTakenIfTheObjectIsGone(t *testing.T) {
	t.Parallel()
	client := fake.NewClientset()
	dead := storeOf(client, "dead", checkpoint.NewLedger("f", ring.DefaultFormat()))
	open := []checkpoint.Tombstone{
		{Type: "pods.v1", ID: pods.ID("a", "gone"), Version: 90}, {Type: "pods.v1", ID: pods.ID("a", "x"), Version: 90},
		{Type: "pods.v1", ID: pods.ID("a", "later"), Version: 110},
	}
	c := checkpoint.Checkpoint{Member: "dead", View: []string{"dead"}, RingFormat: ring.DefaultFormat().String(), Fingerprint: "f"}
	if err := dead.Publish(t.Context(), c, c, checkpoint.Beside{Open: open}); err != nil {
		t.Fatal(err)
	}
	r := newReplica(t, client, "a")
	if done := r.Receive(); done != nil || r.Informed() {
		t.Error("something is taken before the checkpoints have been read")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.store.Run(ctx) }()
	<-r.store.Synced()
	pending := func() (names []string) {
		r.pipeline.PendingDeletions(pods, func(_, name string) { names = append(names, name) })
		return names
	}
	r.Receive()
	if diff := cmp.Diff([]string{"gone"}, pending()); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	r.index.Bookmark(pods, 110)
	r.Receive()
	if got := pending(); len(got) != 2 {
		t.Errorf("deleted when its watch has come up: %v, want also the later one", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
