//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// timeout is REQUEST_TIMEOUT_MS of the stories about the receiver's faults.
const timeout = 3 * time.Second

func ms(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// TestNoFaultOfTheReceiverLosesAnything makes a hundred changes a second, in the full measure two hundred, against a
// receiver in every sort of trouble. One cluster, one replica and one receiver live through all of it.
func TestNoFaultOfTheReceiverLosesAnything(t *testing.T) {
	beside(t, 280*time.Second)
	long, objects := size()
	r := fleet.New(t, fleet.Options{Receiver: receiver.Options{Dir: t.TempDir()}})
	c := cluster(t, r, objects)
	p := r.Start(unhurried(map[string]string{"REQUEST_TIMEOUT_MS": ms(timeout), "SETTLE_TIME_MS": ms(settle)}))
	p.WaitReady(time.Minute)
	r.WaitEqual(time.Minute)
	h := newHistory()

	// story is a churn with a fault beside it, after which the receiver has to equal the cluster. At least so many
	// sorts of its faults must have happened.
	story := func(name string, sorts int, begin func(r *fleet.Rig), during func(r *fleet.Rig)) {
		t.Run(name, func(t *testing.T) {
			r, p := r.In(t), p.In(t)
			mark := r.Mark()
			begin(r)
			var churn sync.WaitGroup
			churn.Go(func() { h.churn(t, c, long, false) })
			defer churn.Wait()
			if during != nil {
				during(r)
			}
			churn.Wait()
			backlog := p.Status().Targets[0].Dirty
			r.Receiver().ClearFaults()
			took, n := r.WaitEqual(converge)
			stats := r.Receiver().Stats()
			t.Logf("%d objects equal %v after the fault; then %d dirty; %d requests by status %v, at most %d at once",
				n, took.Round(time.Millisecond), backlog, stats.Syncs, stats.ByStatus, stats.MaxFlight)
			if n := faults(r.Since(mark)); n < sorts {
				t.Errorf("%d sorts of fault happened, want at least %d", n, sorts)
			}
			h.check(t, r, p)
		})
	}
	always := func(rules ...receiver.Rule) func(*fleet.Rig) {
		return func(r *fleet.Rig) { r.SetFaults(rules...) }
	}

	story("slow", 1, always(receiver.Rule{Effect: receiver.Effect{Delay: receiver.Duration(300 * time.Millisecond)}}), nil)
	story("30 percent fail", 2, always(thirtyPercent()...), nil) // few happen: a replica that meets one asks less often
	story("unavailable for 20 s", 1, always(receiver.Rule{
		For: receiver.Duration(20 * time.Second), Effect: receiver.Effect{Status: 503},
	}), nil)
	story("restarted", 0, always(), func(r *fleet.Rig) {
		for range 2 {
			fleet.Pause(long / 4)
			r.StopReceiver()
			fleet.Pause(3 * time.Second)
			r.StartReceiver()
		}
	})
	t.Run("poisoned", func(t *testing.T) { poisoned(t, r.In(t), p.In(t), func() { h.churn(t, c, long, false) }, h) })
	t.Run("late", func(t *testing.T) { late(t, r.In(t), p.In(t), func() { h.churn(t, c, long, false) }, h) })
}

// thirtyPercent makes about 30 % of all requests fail, in every way that leaves a doubt or none.
func thirtyPercent() []receiver.Rule {
	effects := []receiver.Effect{
		{Status: 500},
		{Status: 500, Applied: true},
		{Status: 429, RetryAfter: "1"},
		{Reset: true},
		{Reset: true, Applied: true},
		{Hang: receiver.Forever},
	}
	var rules []receiver.Rule
	for i, e := range effects {
		rules = append(rules, receiver.Rule{Name: fmt.Sprintf("failure %d", i), Match: receiver.Match{Percent: 5.8, Seed: uint64(10 + i)}, Effect: e})
	}
	return rules
}

// faults counts the rules that took effect.
func faults(records []receiver.Record) int {
	rules := make(map[string]bool)
	for _, rec := range records {
		if rec.Fault != "" {
			rules[rec.Fault] = true
		}
	}
	return len(rules)
}

// poisoned is the story of one object that the receiver refuses with 400 and one with 500.
func poisoned(t *testing.T, r *fleet.Rig, p *fleet.Replica, churn func(), h *history) {
	named := resource.ID("default/v1/ConfigMap/refused-with-400")
	silent := resource.ID("default/v1/ConfigMap/refused-with-500")
	r.SetFaults(
		receiver.Rule{Match: receiver.Match{ID: string(named), Array: "upserts"}, Effect: receiver.Effect{Refuse: receiver.RefuseWithPath}},
		receiver.Rule{Match: receiver.Match{ID: string(silent), Array: "upserts"}, Effect: receiver.Effect{Refuse: receiver.RefuseInternal}},
	)
	r.Kube("", "create", "configmap", "refused-with-400")
	r.Kube("", "create", "configmap", "refused-with-500")
	churn()
	took, n := r.WaitEqual(converge, named, silent)
	t.Logf("all others of %d objects equal %v after the churn", n, took.Round(time.Millisecond))
	fleet.Eventually(t, converge, func() string {
		_, metrics := p.Get("http://" + p.Metrics + "/metrics")
		for _, id := range []resource.ID{named, silent} {
			if !strings.Contains(metrics, `k8s_vectordb_sync_quarantined_object_info{id="`+string(id)+`",target="default"} 1`) {
				return fmt.Sprintf("the metrics do not name %s", id)
			}
		}
		return ""
	})
	for _, id := range []resource.ID{named, silent} {
		if !p.Logged(`"id":"` + string(id) + `"`) {
			t.Errorf("the log does not name %s", id)
		}
	}
	fleet.Eventually(t, converge, func() string { // An object that is being tried again does not count.
		if s := p.Status().Targets[0]; s.QuarantinedTotal != 2 {
			return fmt.Sprintf("%d objects are quarantined, want 2: %v", s.QuarantinedTotal, s.Quarantined)
		}
		return ""
	})

	r.Receiver().ClearFaults()
	r.Kube("", "label", "configmap", "refused-with-400", "refused-with-500", "cured=true")
	r.WaitEqual(converge)
	if q := p.Metric("k8s_vectordb_sync_quarantined_objects"); q != 0 {
		t.Errorf("%v objects are still quarantined", q)
	}
	h.check(t, r, p)
}

// late is the story of requests that the receiver applies long after their client has gone, over newer states that
// it has received since.
func late(t *testing.T, r *fleet.Rig, p *fleet.Replica, churn func(), h *history) {
	const lateness = 4 * timeout
	r.SetFaults(
		receiver.Rule{Match: receiver.Match{Array: "deletes", Percent: 20, Seed: 1}, Effect: receiver.Effect{ApplyLate: receiver.Duration(lateness)}},
		receiver.Rule{Match: receiver.Match{Array: "upserts", Percent: 20, Seed: 2}, Effect: receiver.Effect{ApplyLate: receiver.Duration(lateness)}},
	)
	mark := r.Mark()
	churn()
	r.SetFaults()
	fleet.Eventually(t, lateness+timeout, func() string {
		if n := r.Receiver().Stats().InFlight; n > 0 {
			return fmt.Sprintf("the receiver still holds %d requests", n)
		}
		return ""
	})
	took, _ := r.WaitEqual(settled)
	upserts, deletes := 0, 0
	for _, rec := range r.Since(mark) {
		if rec.ClientGone && rec.AppliedAt > rec.ClientGoneAt {
			upserts += len(rec.Upserts)
			deletes += len(rec.Deletes)
		}
	}
	t.Logf("%d upserts and %d deletes were applied after their client had gone; equal %v after the last", upserts, deletes, took.Round(time.Millisecond))
	if upserts == 0 || deletes == 0 {
		t.Errorf("%d upserts and %d deletes were applied late, want some of both", upserts, deletes)
	}
	fleet.Eventually(t, 2*time.Minute, func() string {
		if s := p.Status().Targets[0]; !s.InStep {
			return fmt.Sprintf("the replica says that it is not in step: %d dirty, %d unknown", s.Dirty, s.Unknown)
		}
		return ""
	})
	r.WaitEqual(0)
	h.check(t, r, p)
}
