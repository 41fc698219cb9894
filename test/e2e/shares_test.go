//go:build e2e

package e2e

import (
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestSharesAreEven has four replicas deliver live changes, and counts how much each has delivered.
func TestSharesAreEven(t *testing.T) {
	longOnly(t)
	const members = 4
	churn, objects := size()
	r := fleet.New(t, fleet.Options{})
	c := cluster(t, r, objects)
	var replicas []*fleet.Replica
	for range members {
		replicas = append(replicas, r.Start(nil))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	r.WaitEqual(2 * time.Minute)
	for _, p := range replicas {
		p.WaitInStep(time.Minute)
	}

	for _, p := range replicas {
		fleet.Eventually(t, time.Minute, func() string {
			if !p.Logged("First sync is complete") {
				return p.Name + " does not say that its first sync is complete"
			}
			return ""
		})
		now, peak := p.Resident()
		t.Logf("%s at rest: %d MiB resident, peak %d MiB", p.Name, now>>20, peak>>20)
		if most := int64(50); now>>20 > most {
			t.Errorf("%s has %d MiB resident at rest, want at most %d", p.Name, now>>20, most)
		}
	}

	mark := r.Mark()
	newHistory().churn(t, c, churn, false)
	took, n := r.WaitEqual(converge)
	t.Logf("%d objects equal %v after the churn", n, took.Round(time.Millisecond))
	delivered, all := make(map[string]int), 0
	for _, rec := range r.Since(mark) {
		if rec.Status == 200 {
			delivered[rec.Sender] += len(rec.Upserts) + len(rec.Deletes)
			all += len(rec.Upserts) + len(rec.Deletes)
		}
	}
	for _, p := range replicas {
		share := 100 * float64(delivered[p.Name]) / float64(all)
		now, peak := p.Resident()
		t.Logf("%s has delivered %d of %d changes, %.1f %%; %d MiB resident, peak %d MiB", p.Name, delivered[p.Name], all, share, now>>20, peak>>20)
		if share < 100/members-4 || share > 100/members+4 {
			t.Errorf("%s has delivered %.1f %% of all changes, want %d ± 4", p.Name, share, 100/members)
		}
	}
}

// TestLittleIsWrittenAtRest counts the writes of three replicas to etcd without changes, and with many: the renewals
// of their Leases, and their checkpoints.
func TestLittleIsWrittenAtRest(t *testing.T) {
	longOnly(t)
	besideUnlessMeasured(t, 2*time.Minute)
	const members = 3
	timings, watched := shortLease, 10*time.Second
	if os.Getenv("E2E_LONG") != "" {
		timings, watched = defaultLease, time.Minute
	}
	r := fleet.New(t, fleet.Options{ControlPlane: controlplane.Options{AuditLog: true}})
	c := cluster(t, r, 500)
	var replicas []*fleet.Replica
	for range members {
		replicas = append(replicas, r.Start(timings.env()))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	r.WaitEqual(time.Minute)
	for _, p := range replicas {
		waitCheckpoint(t, r, p)
	}
	renewals, checkpoints := int(watched/timings.interval), int(watched/checkpointPace)
	check := func(what string, writes map[string]int) {
		t.Logf("%s: %d members, a renewal each %v: written within %v: %v", what, members, timings.interval, watched, writes)
		if n := writes["leases"]; n < members || n > members*(renewals+2) {
			t.Errorf("%s: %d writes of Leases within %v, want about %d", what, n, watched, members*renewals)
		}
		if n := writes["configmaps"]; n > members*(checkpoints+1) {
			t.Errorf("%s: %d writes of checkpoints within %v, want at most one each %v for each member", what, n, watched, checkpointPace)
		}
		delete(writes, "leases")
		delete(writes, "configmaps")
		if len(writes) > 0 {
			t.Errorf("%s: something else was written: %v", what, writes)
		}
	}
	check("at rest", written(t, r, watched))
	var churn sync.WaitGroup
	churn.Go(func() { newHistory().churn(t, c, watched, false) })
	check("while objects change", written(t, r, watched))
	churn.Wait()
}

// checkpointPace is how often a replica writes a checkpoint, at most.
const checkpointPace = 10 * time.Second

// written counts the writes to the replicas' own objects for so long, by resource.
func written(t *testing.T, r *fleet.Rig, d time.Duration) map[string]int {
	t.Helper()
	count := func() map[string]int {
		events, err := r.AuditEvents()
		if err != nil {
			t.Fatal(err)
		}
		writes := make(map[string]int)
		for _, e := range events {
			changes := e.Verb == "create" || e.Verb == "update" || e.Verb == "patch" || e.Verb == "delete"
			if changes && e.Code < 300 && strings.HasPrefix(e.UserAgent, "k8s-vectordb-sync/") {
				writes[e.Resource]++
			}
		}
		return writes
	}
	before := count()
	fleet.Pause(d)
	after := count()
	for resource, n := range before {
		if after[resource] -= n; after[resource] == 0 {
			delete(after, resource)
		}
	}
	return after
}
