//go:build e2e

package e2e

import (
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestDotAIIsBroughtInStepAndKeptThere is the main job with the other contract: a first sync, then churn while the
// store fails for single items.
func TestDotAIIsBroughtInStepAndKeptThere(t *testing.T) {
	beside(t, 80*time.Second)
	long, objects := size()
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	c := cluster(t, r, objects)
	p := r.Start(unhurried(map[string]string{"SETTLE_TIME_MS": ms(settle)}))
	p.WaitReady(time.Minute)
	took, n := r.WaitEqual(time.Minute)
	t.Logf("%d objects in step %v after the replica was ready", n, took.Round(time.Millisecond))
	if u := r.Receiver().Stats().Unchanged; u > 0 {
		t.Errorf("%d upserts of the first sync changed nothing", u)
	}

	h := newHistory()
	r.SetFaults(
		receiver.Rule{Match: receiver.Match{Kind: "Pod", Percent: 30, Seed: 1}, Effect: receiver.Effect{Partial: "Failed to store: timeout"}},
		receiver.Rule{Match: receiver.Match{Kind: "ConfigMap", Percent: 30, Seed: 2}, Effect: receiver.Effect{Partial: "Failed to store: timeout"}},
	)
	mark := r.Mark()
	h.churn(t, c, long, false)
	r.Receiver().ClearFaults()
	took, n = r.WaitEqual(converge)
	partial := 0
	for _, rec := range r.Since(mark) {
		if rec.Status == 400 {
			partial++
		}
	}
	stats := r.Receiver().Stats()
	t.Logf("%d objects equal %v after the fault; %d requests, %d of them partly failed", n, took.Round(time.Millisecond), stats.Syncs, partial)
	if partial == 0 {
		t.Error("no request failed in part")
	}
	if stats.Resyncs > 0 {
		t.Errorf("%d requests were marked isResync, which deletes whatever is not in them", stats.Resyncs)
	}
	h.check(t, r, p)
}
