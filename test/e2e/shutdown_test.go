//go:build e2e

package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// grace is terminationGracePeriodSeconds of the chart.
const grace = 30 * time.Second

// TestSIGTERMFlushesWhatIsDue ends a replica in the middle of its debounce windows, with changes until that very
// moment, and starts another in front of a receiver that is down.
func TestSIGTERMFlushesWhatIsDue(t *testing.T) {
	beside(t, 30*time.Second)
	r := fleet.New(t, fleet.Options{})
	c := cluster(t, r, 1000)

	t.Run("when the receiver is well", func(t *testing.T) {
		r, h := r.In(t), newHistory()
		p := r.Start(map[string]string{"DEBOUNCE_WINDOW_MS": "60000", "DEBOUNCE_MAX_WAIT_MS": "600000"})
		p.WaitReady(time.Minute)
		r.WaitEqual(time.Minute, checkpoint(p), resyncs) // these wait for their window like any other
		h.churn(t, c, 5*time.Second, false)
		mark, began := r.Mark(), time.Now()
		if code := p.Stop(grace); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		took, sent := time.Since(began), 0
		for _, rec := range r.Since(mark) {
			sent += len(rec.Upserts) + len(rec.Deletes)
		}
		t.Logf("%d objects were sent within %v of the signal", sent, took.Round(time.Millisecond))
		if sent == 0 {
			t.Error("nothing was due when the signal came")
		}
		r.WaitEqual(0, checkpoint(p), resyncs) // these are written last of all
		if !p.Logged(`"undeliveredUpserts":0,"undeliveredDeletes":0`) {
			t.Errorf("the log does not say that nothing is left:\n%s", p.Log(3))
		}
	})

	t.Run("when the receiver is down", func(t *testing.T) {
		r := r.In(t)
		for i := range 10 {
			r.Kube("", "create", "configmap", fmt.Sprintf("left-%d", i))
		}
		p := r.Start(map[string]string{"SHUTDOWN_TIMEOUT_MS": "2000"})
		p.WaitReady(time.Minute)
		waitCheckpoint(t, r, p)
		p.WaitInStep(time.Minute) // the receiver has equalled the cluster all along
		r.WaitEqual(0)
		r.SetFaults(receiver.Rule{Effect: receiver.Effect{Status: 503}})
		r.Kube("", "label", "configmap", "left-0", "left-1", "left-2", "left-3", "left-4", "left-5", "left-6", "left=behind")
		r.Kube("", "delete", "configmap", "left-7", "left-8", "left-9")
		fleet.Eventually(t, converge, func() string {
			if n := p.Status().Targets[0].Dirty; n != 10 {
				return fmt.Sprintf("%d objects are dirty, want 10", n)
			}
			return ""
		})
		if code := p.Stop(grace); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		if !p.Logged(`"undeliveredUpserts":7,"undeliveredDeletes":3`) {
			t.Errorf("the log does not say what is left:\n%s", p.Log(3))
		}
	})
}
