package plugin_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
)

// TestReplicasAreReachedThroughTheAPIServer tries both ways: a WebSocket where the API server speaks it, and SPDY
// where the API server is older. The output equals that of replicas that are asked directly.
func TestReplicasAreReachedThroughTheAPIServer(t *testing.T) {
	t.Parallel()
	want := runAll(t, three(), "status", "-o", "wide").out
	for name, c := range map[string]struct {
		noWebSocket bool
		want        []string
	}{
		"WebSocket": {false, []string{"WebSocket", "WebSocket", "WebSocket"}},
		"SPDY":      {true, []string{"SPDY", "SPDY", "SPDY", "WebSocket", "WebSocket", "WebSocket"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kube{t: t, noWebSocket: c.noWebSocket}
			for i, b := range three() {
				k.add("work", "sync", "sync-"+string(rune('0'+i)), b)
			}
			got := k.run("status", "-o", "wide")
			if diff := cmp.Diff(want, got.out); got.code != 0 || diff != "" {
				t.Errorf("exit code %d %s (-want +got):\n%s", got.code, got.errOut, diff)
			}
			k.mu.Lock()
			defer k.mu.Unlock()
			slices.Sort(k.upgrades)
			if diff := cmp.Diff(c.want, k.upgrades); diff != "" {
				t.Errorf("one tunnel for each replica (-want +got):\n%s", diff)
			}
			if i := slices.IndexFunc(k.ports, func(p string) bool { return p != "18082" }); i >= 0 {
				t.Errorf("port %s was asked for, want the one that is named api", k.ports[i])
			}
		})
	}
}

func TestResyncThroughTheAPIServer(t *testing.T) {
	t.Parallel()
	b := well(0)
	b.steps = append(b.steps, finished("done", ""))
	k := &kube{t: t}
	k.add("work", "sync", "sync-0", b)
	got := k.run("resync", "-n", "shop", "--resource", "pods")
	if got.code != 0 || got.out != "resync op-1 done: 20243 objects of 60 types in 72s\n" {
		t.Errorf("got %+v", got)
	}
	if r := b.asked(); len(r) != 1 || r[0].Namespace != "shop" || r[0].Resource != "pods" {
		t.Errorf("asked for %+v", r)
	}
}

// TestReplicaThatCannotBeReachedIsARow has one healthy replica, and others, each with another trouble.
func TestReplicaThatCannotBeReachedIsARow(t *testing.T) {
	t.Parallel()
	k := &kube{t: t}
	b := well(0)
	b.ring.Members = b.ring.Members[:1]
	k.add("work", "sync", "sync-0", b)
	k.add("work", "sync", "sync-1", nil) // the port has no listener
	crashing := k.add("work", "sync", "sync-2", nil)
	crashing.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{
		Reason: "CrashLoopBackOff", Message: "back-off 5m0s restarting failed container",
	}}}}
	pending := k.add("work", "sync", "sync-3", nil)
	pending.Status = corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available"},
	}}
	evicted := k.add("work", "sync", "sync-4", nil)
	evicted.Status.Phase = corev1.PodFailed

	got := k.run("status")
	if got.code != 1 {
		t.Errorf("exit code %d, want 1", got.code)
	}
	for _, want := range []string{
		"sync-1 does not answer: error forwarding port: dial tcp4: connection refused",
		"sync-2 does not answer: its container waits: CrashLoopBackOff: back-off 5m0s restarting failed container",
		"sync-3 does not answer: its pod is Pending: 0/3 nodes are available",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("lacks %q", want)
		}
	}
	if rows := strings.Count(got.out, "no answer"); rows != 3 || strings.Contains(got.out, "sync-4") {
		t.Errorf("%d replicas without an answer, want 3", rows)
	}
	if t.Failed() {
		t.Log(got.out, got.errOut)
	}
}

func TestReplicaThatNeverAnswersIsGivenUp(t *testing.T) {
	t.Parallel()
	k := &kube{t: t, deaf: make(chan struct{})}
	k.add("work", "sync", "sync-0", nil)
	flags := k.flags()
	t.Cleanup(func() { close(k.deaf) })
	got := run(t, append(flags, "ring", "--request-timeout", "200ms")...)
	if got.code != 1 || !strings.Contains(got.out, "sync-0 does not answer: it did not answer in time; --request-timeout gives it more") {
		t.Errorf("got %+v", got)
	}
}
