package notice_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// started is the number of looks, one a second, after which a receiver that is down is reported.
const started = 20

func workload(context.Context) *corev1.ObjectReference {
	return &corev1.ObjectReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "sync", Namespace: "system", UID: "42"}
}

// TestTeller_OneMemberSpeaksForAll has the same happen to two members, of which one speaks for the fleet.
func TestTeller_OneMemberSpeaksForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var now atomic.Pointer[notice.Situation]
		now.Store(&notice.Situation{})
		var speaker atomic.Int64
		var recorders [2]*record.FakeRecorder
		for i := range recorders {
			recorders[i] = record.NewFakeRecorder(100)
			teller := notice.NewTeller(notice.Options{
				Member: fmt.Sprint("sync-", i), Look: func() notice.Situation { return *now.Load() },
				Speaks: func() (speaks, known bool) { return speaker.Load() == int64(i), speaker.Load() >= 0 }, Regarding: workload,
			})
			go teller.Tell(ctx, recorders[i]) // Ends with ctx.
		}
		said := func(want ...int) {
			t.Helper()
			time.Sleep(2500 * time.Millisecond)
			synctest.Wait()
			for i, r := range recorders {
				if got := len(r.Events); got != want[i] {
					t.Errorf("sync-%d has said %d Events, want %d", i, got, want[i])
				}
			}
		}
		time.Sleep(started * time.Second)
		s := down("sync-1")
		now.Store(&s)
		said(1, 0)
		speaker.Store(1) // The other member speaks from here on, and knows the earlier news.
		said(1, 0)
		speaker.Store(-1) // No member knows which one speaks, as while the ring forms.
		s = receiver(func(*notice.Receiver) {})
		now.Store(&s)
		said(1, 0)
		speaker.Store(1)
		said(1, 1)
		if got := <-recorders[0].Events; !strings.HasPrefix(got, "Warning ReceiverDown ") {
			t.Errorf("the Event is %q", got)
		}
		if got := <-recorders[1].Events; !strings.HasPrefix(got, "Normal ReceiverBack ") {
			t.Errorf("the Event is %q", got)
		}
		s = notice.Situation{Divergent: []string{"pods.v1"}}
		now.Store(&s)
		time.Sleep(time.Second)
		synctest.Wait()
		s = notice.Situation{}
		now.Store(&s)
		said(1, 1) // Each member has met it.
		cancel()
		synctest.Wait()
	})
}

// run gives a teller a client of the API server and a receiver that goes up and down. It returns when the teller
// has seen all situations.
func run(t *testing.T, client *fake.Clientset, log func(prefix, args string), situations ...notice.Situation) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	i := -started - 1
	teller := notice.NewTeller(notice.Options{
		Member: "sync-0", Speaks: func() (speaks, known bool) { return true, true }, Regarding: workload, Log: funcr.New(log, funcr.Options{}),
		Look: func() notice.Situation {
			if i++; i < 0 {
				return notice.Situation{}
			}
			return situations[min(i, len(situations)-1)]
		},
	})
	done := make(chan error, 1)
	go func() { done <- teller.Run(ctx, client.CoreV1()) }() // Ends with ctx.
	time.Sleep(time.Duration(started+len(situations)+2) * time.Second)
	synctest.Wait()
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	synctest.Wait()
}

// TestTeller_WritesEventsOfTheWorkload lets the receiver flap for a minute. The Events concern the workload, name
// their writer, and are few.
func TestTeller_WritesEventsOfTheWorkload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		var row []notice.Situation
		for range 100 {
			row = append(row, down("sync-0"), receiver(func(*notice.Receiver) {}))
		}
		run(t, client, func(string, string) {}, row...)
		creates := 0
		for _, a := range client.Actions() {
			if a, ok := a.(clienttesting.CreateAction); ok {
				creates++
				e, _ := a.GetObject().(*corev1.Event)
				if e.InvolvedObject != *workload(t.Context()) || e.Namespace != "system" || e.Source.Component != "k8s-vectordb-sync" || e.Source.Host != "sync-0" {
					t.Errorf("written is %+v", e)
				}
			}
		}
		if creates != 2 {
			t.Errorf("%d Events were created, want one for down and one for back, which count", creates)
		}
		if got := len(client.Actions()); got > 60 {
			t.Errorf("%d requests were made for 200 happenings, want a bounded number", got)
		}
	})
}

// TestTeller_ARefusalIsSaidOnce has no permission to write Events.
func TestTeller_ARefusalIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewClientset()
		client.PrependReactor("*", "events", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "events"}, "", errors.New("no rule"))
		})
		var lines atomic.Int64
		run(t, client, func(string, string) { lines.Add(1) }, down("sync-0"), receiver(func(*notice.Receiver) {}), down("sync-0"))
		if lines.Load() != 1 {
			t.Errorf("%d lines were logged, want one", lines.Load())
		}
	})
}

// TestDivergent_IsTakenOnce collects types between two looks.
func TestDivergent_IsTakenOnce(t *testing.T) {
	var d notice.Divergent
	d.Add("pods.v1")
	d.Add("nodes.v1")
	d.Add("pods.v1")
	if got := strings.Join(d.Take(), " "); got != "nodes.v1 pods.v1" {
		t.Errorf("taken: %q", got)
	}
	if got := d.Take(); len(got) != 0 {
		t.Errorf("taken again: %q", got)
	}
}
