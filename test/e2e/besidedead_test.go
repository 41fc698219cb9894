//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/process"
)

// TestDotAIStaysExactBesideAReceiverThatIsDown has three replicas that serve two receivers: a dot-ai in every sort
// of trouble, and a cluster-whisperer that is down all the time.
func TestDotAIStaysExactBesideAReceiverThatIsDown(t *testing.T) {
	longOnly(t)
	beside(t, 2*time.Minute)
	const churn, objects = 8 * time.Second, 500
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	r.Kube("", "apply", "--server-side", "-f", definition)
	c := cluster(t, r, objects)
	env := map[string]string{"RESOURCE_SYNC_CONFIG": "true", "REQUEST_TIMEOUT_MS": ms(timeout), "SETTLE_TIME_MS": ms(settle)}
	var replicas []*fleet.Replica
	for range 3 {
		replicas = append(replicas, r.Start(env))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	r.WaitEqual(time.Minute)
	memory := func(when string) {
		for _, p := range replicas {
			now, peak := p.Resident()
			t.Logf("%s: %s has %d MiB resident, peak %d", when, p.Name, now>>20, peak>>20)
		}
	}
	memory("alone")
	port, err := process.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	r.Kube("", "create", "namespace", "dot-ai")
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key=none")
	r.Apply(declaration(t, "down", map[string]any{"format": "cluster-whisperer", "mcpEndpoint": "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) + cwPath}))

	h := newHistory()
	story := func(name string, during func(r *fleet.Rig), rules ...receiver.Rule) {
		r.SetFaults(rules...)
		mark := r.Mark()
		var changes sync.WaitGroup
		changes.Go(func() { h.churn(t, c, churn, during != nil) })
		if during != nil {
			fleet.Pause(churn / 4)
			during(r)
		}
		changes.Wait()
		r.Receiver().ClearFaults()
		took, n := r.WaitEqual(2 * converge)
		t.Logf("%s: %d objects equal %v after the fault; %d sorts of it", name, n, took.Round(time.Millisecond), faults(r.Since(mark)))
		if got := faults(r.Since(mark)); got < len(rules) {
			t.Errorf("%s: %d sorts of fault happened, want %d", name, got, len(rules))
		}
	}
	partial := func(kind string, seed uint64) receiver.Rule {
		return receiver.Rule{Name: "partial " + kind, Match: receiver.Match{Kind: kind, Percent: 30, Seed: seed}, Effect: receiver.Effect{Partial: "Failed to store: timeout"}}
	}
	unavailable := receiver.Rule{Name: "unavailable", Match: receiver.Match{Percent: 30, Seed: 3}, Effect: receiver.Effect{Status: 503}}
	hangs := receiver.Rule{Name: "hangs", Match: receiver.Match{Percent: 5, Seed: 4}, Effect: receiver.Effect{Hang: receiver.Forever}}
	circuit := receiver.Rule{Name: "circuit", Count: 3, Effect: receiver.Effect{Embedder: 503}}
	killed := func(r *fleet.Rig) {
		replicas[0].Kill()
		replicas[0] = r.Start(env)
	}
	restarted := func(r *fleet.Rig) {
		if err := r.StopAPIServer(true); err != nil {
			t.Fatal(err)
		}
		fleet.Pause(3 * time.Second)
		if err := r.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	story("a replica is killed while requests fail", killed, partial("Pod", 1), partial("ConfigMap", 2), unavailable)
	story("the API server restarts", restarted)
	story("hangs", nil, hangs)
	story("circuit", nil, circuit)
	memory("beside a receiver that is down")
	exact(t, r, h)
	for _, p := range replicas {
		for _, target := range p.Status().Targets {
			t.Logf("%s: %s has %d dirty", p.Name, target.Name, target.Dirty)
		}
	}
	fleet.Eventually(t, converge, func() string {
		if c := ready(statuses(t, r)["down"]); c.Reason != "ReceiverUnavailable" {
			return fmt.Sprintf("the receiver that is down is %s: %s", c.Reason, c.Message)
		}
		return ""
	})
}

// exact checks a fleet's requests, as the receiver has seen them, against the rules that no fault excuses.
func exact(t *testing.T, r *fleet.Rig, h *history) {
	t.Helper()
	stats := r.Receiver().Stats()
	if stats.Resyncs > 0 {
		t.Errorf("%d payloads were marked isResync, which deletes whatever is not in them", stats.Resyncs)
	}
	if stats.Overlaps > 0 || stats.InBoth > 0 || stats.Mixed > 0 {
		t.Errorf("%d times two requests held one ID; %d IDs in both arrays, %d mixed payloads", stats.Overlaps, stats.InBoth, stats.Mixed)
	}
	if w := h.wrongDeletes(t, r); len(w) > 0 {
		t.Errorf("%d objects were deleted at the receiver alone, such as %v", len(w), w[:min(len(w), 3)])
	}
}
