//go:build integration

package netfault_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
)

var configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}

// reader reads answers in one encoding.
type reader struct {
	watch func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error)
	list  func(ctx context.Context, o metav1.ListOptions) (n int, err error)
}

func readers(config *rest.Config) map[string]reader {
	partial := metadata.NewForConfigOrDie(metadata.ConfigFor(config)).Resource(configMaps).Namespace("default")
	full := dynamic.NewForConfigOrDie(config).Resource(configMaps).Namespace("default")
	return map[string]reader{
		"metadata in protobuf": {partial.Watch, func(ctx context.Context, o metav1.ListOptions) (int, error) {
			l, err := partial.List(ctx, o)
			if err != nil {
				return 0, err
			}
			return len(l.Items), nil
		}},
		"objects in JSON": {full.Watch, func(ctx context.Context, o metav1.ListOptions) (int, error) {
			l, err := full.List(ctx, o)
			if err != nil {
				return 0, err
			}
			return len(l.Items), nil
		}},
	}
}

// TestSingleEventsAndAnswersAreMeddledWith checks each verdict and each answer against a real API server, in each
// encoding.
func TestSingleEventsAndAnswersAreMeddledWith(t *testing.T) {
	c := controlplane.ForTest(t, controlplane.Options{})
	core := kubernetes.NewForConfigOrDie(c.RESTConfig()).CoreV1().ConfigMaps("default")
	a, err := netfault.NewAPI(c.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	for i := range 4 {
		create(t, c, fmt.Sprintf("there-%d", i))
	}
	for encoding, read := range readers(a.RESTConfig()) {
		t.Run(encoding, func(t *testing.T) {
			var verdict atomic.Int32
			t.Cleanup(a.OnEvent(func(e netfault.Event) netfault.Verdict {
				if e.Request.Resource == configMaps && e.Name == "chosen" {
					return netfault.Verdict(verdict.Load())
				}
				return netfault.Pass
			}))
			for name, test := range map[string]struct {
				verdict netfault.Verdict
				want    []string // the events of the creations of chosen and after
			}{
				"pass": {netfault.Pass, []string{"ADDED chosen", "ADDED after"}},
				"drop": {netfault.Drop, []string{"ADDED after"}},
				"hold": {netfault.Hold, []string{"ADDED after", "ADDED chosen"}},
				"end":  {netfault.End, []string{"closed"}},
			} {
				t.Run(name, func(t *testing.T) {
					verdict.Store(int32(test.verdict))
					now, err := core.List(t.Context(), metav1.ListOptions{})
					if err != nil {
						t.Fatal(err)
					}
					w, err := read.watch(t.Context(), metav1.ListOptions{ResourceVersion: now.ResourceVersion})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(w.Stop)
					for _, n := range []string{"chosen", "after"} {
						create(t, c, n)
						t.Cleanup(func() { remove(t, core, n) })
					}
					if diff := cmp.Diff(test.want, take(t, w, len(test.want))); diff != "" {
						t.Errorf("events (-want +got):\n%s", diff)
					}
				})
			}
			testFrozen(t, a, c, read)
			testLists(t, a, read)
			testStreamedLists(t, a, read)
		})
	}
}

// take reads some events.
func take(t *testing.T, w watch.Interface, n int) []string {
	t.Helper()
	got := []string{}
	for range n {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				return append(got, "closed")
			}
			o, ok := e.Object.(metav1.Object)
			if !ok {
				t.Fatalf("event %+v", e)
			}
			got = append(got, string(e.Type)+" "+o.GetName())
		case <-time.After(20 * time.Second):
			return append(got, "nothing")
		}
	}
	return got
}

// testFrozen lets a stream die at an event while another one lives on.
func testFrozen(t *testing.T, a *netfault.API, c *controlplane.ControlPlane, read reader) {
	core := kubernetes.NewForConfigOrDie(c.RESTConfig()).CoreV1().ConfigMaps("default")
	var frozen atomic.Bool
	defer a.OnEvent(func(e netfault.Event) netfault.Verdict {
		if e.Name == "frozen" && frozen.CompareAndSwap(false, true) {
			return netfault.Freeze
		}
		return netfault.Pass
	})()
	now, err := core.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var both []watch.Interface
	for range 2 {
		w, err := read.watch(t.Context(), metav1.ListOptions{ResourceVersion: now.ResourceVersion})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(w.Stop)
		both = append(both, w)
	}
	create(t, c, "frozen")
	defer remove(t, core, "frozen")
	select {
	case e := <-both[0].ResultChan():
		both = both[1:]
		t.Logf("the first lives: %s", e.Type)
	case e := <-both[1].ResultChan():
		both = both[:1]
		t.Logf("the second lives: %s", e.Type)
	}
	select {
	case e, open := <-both[0].ResultChan():
		t.Errorf("a frozen stream brought %+v, open %v", e, open)
	default:
	}
}

func testLists(t *testing.T, a *netfault.API, read reader) {
	for answer, want := range map[netfault.Answer]int{netfault.AnswerTruly: 4, netfault.AnswerHalf: 2, netfault.AnswerEmpty: 0, netfault.AnswerError: -1, netfault.AnswerBroken: -1, netfault.AnswerNever: -1, netfault.AnswerSilently: -1} {
		remove := a.OnRequest(func(r netfault.Request) netfault.Answer {
			if r.Resource == configMaps {
				return answer
			}
			return netfault.AnswerTruly
		})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		n, err := read.list(ctx, metav1.ListOptions{})
		cancel()
		remove()
		if err != nil {
			n = -1
		}
		if n != want {
			t.Errorf("a list with answer %d has %d items (-1 is an error), want %d: %v", answer, n, want, err)
		}
	}
}

func testStreamedLists(t *testing.T, a *netfault.API, read reader) {
	yes := true
	options := metav1.ListOptions{SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan}
	for answer, want := range map[netfault.Answer]string{
		netfault.AnswerTruly: "4 BOOKMARK", netfault.AnswerHalf: "2 BOOKMARK", netfault.AnswerEmpty: "0 BOOKMARK", netfault.AnswerBroken: "4 closed",
	} {
		remove := a.OnRequest(func(r netfault.Request) netfault.Answer {
			if r.Streamed {
				return answer
			}
			return netfault.AnswerTruly
		})
		w, err := read.watch(t.Context(), options)
		remove()
		if err != nil {
			t.Fatal(err)
		}
		n, end := 0, "closed"
		for e := range w.ResultChan() {
			if e.Type == watch.Bookmark {
				end = "BOOKMARK"
				break
			}
			if e.Type == watch.Error {
				break
			}
			n++
		}
		w.Stop()
		if got := fmt.Sprint(n, " ", end); got != want {
			t.Errorf("a streamed list with answer %d: %s, want %s", answer, got, want)
		}
	}
}

func create(t *testing.T, c *controlplane.ControlPlane, name string) {
	t.Helper()
	core := kubernetes.NewForConfigOrDie(c.RESTConfig()).CoreV1().ConfigMaps("default")
	if _, err := core.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// remove deletes a ConfigMap at the end of a test, whose own context has ended by then.
func remove(t *testing.T, configMaps corev1client.ConfigMapInterface, name string) {
	t.Helper()
	if err := configMaps.Delete(context.WithoutCancel(t.Context()), name, metav1.DeleteOptions{}); err != nil {
		t.Error(err)
	}
}
