package handoff_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	coordinationv1client "k8s.io/client-go/kubernetes/typed/coordination/v1"
	clienttesting "k8s.io/client-go/testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var pods = resource.Type{Version: "v1", Resource: "pods", Kind: "Pod", Namespaced: true}

// receiver is a target that records the calls it gets.
type receiver struct {
	inFlight chan struct{} // is closed when its requests have ended; nil: there are none

	mu         sync.Mutex // guards what follows
	calls      []string
	unreadable bool   // its checkpoints cannot be read
	behind     string // the type for which it waits
}

func (r *receiver) did(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

func (r *receiver) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

// done returns the calls since the last time, in order, without those that come with each change.
func (r *receiver) done() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	done := strings.Join(slices.DeleteFunc(r.calls, func(c string) bool { return strings.HasPrefix(c, "shared") }), ", ")
	r.calls = nil
	return done
}

func (r *receiver) Name() string { return "default" }

func (r *receiver) Drain(lost handoff.Match) <-chan struct{} {
	r.did("drain %t", lost(pods, "a/v1/Pod/p"))
	if r.inFlight == nil {
		none := make(chan struct{})
		close(none)
		return none
	}
	return r.inFlight
}

func (r *receiver) Cancel(handoff.Match) {
	r.did("cancel")
	close(r.inFlight)
}

func (r *receiver) TakeUp(gained, crashed handoff.Match) {
	r.did("take up %t, crashed %t", gained(pods, "a/v1/Pod/p"), crashed(pods, "a/v1/Pod/p"))
}

func (r *receiver) Admitted(handoff.Match) { r.did("admitted") }
func (r *receiver) Shared()                { r.did("shared") }

func (r *receiver) Synced() <-chan struct{} {
	synced := make(chan struct{})
	close(synced)
	return synced
}

func (r *receiver) Refresh(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.unreadable {
		return errors.New("checkpoints cannot be read")
	}
	return nil
}

func (r *receiver) Behind(among func(resource.Type) bool) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !among(pods) {
		return ""
	}
	return r.behind
}

func (r *receiver) PublishLast(context.Context) { r.did("publish") }
func (r *receiver) Leave(context.Context)       { r.did("leave") }

// objects are the objects of one type.
type objects int

func (objects) Types() []resource.Type { return []resource.Type{pods} }

func (n objects) All(_ resource.Type, each func(namespace, name string, version uint64) bool) {
	for i := range int(n) {
		each("a", fmt.Sprint(i), 1)
	}
}

// paged are Leases that are listed in pages, because the fake knows no streamed lists.
type paged struct {
	coordinationv1client.LeasesGetter
}

func (p paged) Leases(namespace string) coordinationv1client.LeaseInterface {
	return pagedLeases{p.LeasesGetter.Leases(namespace)}
}

type pagedLeases struct {
	coordinationv1client.LeaseInterface
}

func (pagedLeases) IsWatchListSemanticsUnSupported() bool { return true }

// join runs a member that is alone until the end of the test.
func join(t *testing.T, r *receiver) *handoff.Shard {
	t.Helper()
	api := fake.NewClientset()
	version := 0
	api.PrependReactor("*", "leases", func(a clienttesting.Action) (handled bool, _ runtime.Object, _ error) {
		if o, ok := a.(interface{ GetObject() runtime.Object }); ok { // The tracker gives no versions.
			version++
			o.GetObject().(*coordinationv1.Lease).ResourceVersion = strconv.Itoa(version)
		}
		return false, nil, nil
	})
	s, err := handoff.New(paged{api.CoordinationV1()}, membership.Options{
		RingName: "ring", Namespace: "ns", PodName: "m", PodUID: "uid",
	}, handoff.Options{Objects: objects(3), Log: logr.Discard(), Targets: func() iter.Seq[handoff.Target] {
		return slices.Values([]handoff.Target{r})
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() {
		if err := s.Member.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		all.Wait()
	})
	return s
}

// TestShard_Joins_TakesUpOnceItHasCaughtUp has checkpoints that cannot be read at first, then a watch that lags.
func TestShard_Joins_TakesUpOnceItHasCaughtUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{unreadable: true, behind: "pods.v1"}
		s := join(t, r)
		seat := handoff.NewSeat(s.Member, r.Name())
		for _, mend := range []func(){func() { r.unreadable = false }, func() { r.behind = "" }} {
			time.Sleep(3 * time.Second)
			if done := r.done(); done != "" || seat.MaySend(pods, "a/v1/Pod/p") {
				t.Errorf("before it has caught up it did %q, and may send: %t", done, seat.MaySend(pods, "a/v1/Pod/p"))
			}
			r.set(mend)
		}
		time.Sleep(time.Second)
		if got, want := r.done(), "take up true, crashed false, admitted"; got != want || !seat.MaySend(pods, "a/v1/Pod/p") {
			t.Errorf("it did %q, want %q", got, want)
		}
		s.WaitJoined(t.Context())
		s.Release(t.Context())
		time.Sleep(time.Second)
		if got := r.done(); !strings.HasPrefix(got, "leave") || seat.MaySend(pods, "a/v1/Pod/p") {
			t.Errorf("at the end it did %q", got)
		}
	})
}

// TestShard_AWatchStaysBehind_TakesUpAfterItsPatience, because a broken watch brings no state that could be sent.
func TestShard_AWatchStaysBehind_TakesUpAfterItsPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{behind: "pods.v1"}
		s := join(t, r)
		time.Sleep(14 * time.Second)
		if done := r.done(); done != "" {
			t.Errorf("after 14 s it did %q", done)
		}
		time.Sleep(6 * time.Second)
		if got, want := r.done(), "take up true, crashed false, admitted"; got != want {
			t.Errorf("after 20 s it did %q, want %q", got, want)
		}
		s.Release(t.Context())
	})
}

// TestShard_Drain_WritesACheckpointOnceRequestsHaveEnded, or have been cut off because the receiver does not
// answer.
func TestShard_Drain_WritesACheckpointOnceRequestsHaveEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, answers := range []bool{true, false} {
			r := &receiver{inFlight: make(chan struct{})}
			s := join(t, r)
			if err := s.Member.Await(t.Context(), func() bool { return s.Member.Owned().Rest().Len() > 0 }); err != nil {
				t.Fatal(err)
			}
			r.done()
			began := time.Now()
			drained := s.Drain(s.Member.Owned())
			time.Sleep(5 * time.Second)
			if got := r.done(); got != "drain true" {
				t.Errorf("while a request is in flight it did %q", got)
			}
			want, after := "publish", 5*time.Second
			if answers {
				close(r.inFlight)
			} else {
				want, after = "cancel, publish", 10*time.Second
			}
			<-drained
			if got := r.done(); got != want || time.Since(began) != after {
				t.Errorf("it did %q after %s, want %q after %s", got, time.Since(began), want, after)
			}
			s.Release(t.Context())
		}
	})
}

// TestKey_IsAsLabelsMayHoldIt whatever a receiver is called.
func TestKey_IsAsLabelsMayHoldIt(t *testing.T) {
	for name, want := range map[string]string{
		"default": "default", "shop/search": "t-", "Shop": "t-", strings.Repeat("a", 41): "t-",
	} {
		if got := handoff.Key(name); !strings.HasPrefix(got, want) || len(got) > 40 {
			t.Errorf("the key of %s is %s", name, got)
		}
	}
}
