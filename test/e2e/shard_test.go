//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// agreed waits until every replica has the same number of working members and finds every partition claimed.
func agreed(t *testing.T, within time.Duration, replicas ...*fleet.Replica) {
	t.Helper()
	fleet.Eventually(t, within, func() string {
		for _, p := range replicas {
			r := p.Ring()
			working := 0
			for _, m := range r.Members {
				if m.State == "working" {
					working++
				}
			}
			if !r.Agreed || working != len(replicas) || r.OrphanedPartitions > 0 {
				return fmt.Sprintf("%s sees %d working members of %d, agreed %v, %d orphaned", p.Name, working, len(replicas), r.Agreed, r.OrphanedPartitions)
			}
		}
		return ""
	})
}

// lists counts the LIST requests of the replicas, without those of Leases and checkpoints.
func lists(t *testing.T, r *fleet.Rig) int {
	t.Helper()
	events, err := r.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, e := range events {
		initial := e.Verb == "watch" && strings.Contains(e.URI, "sendInitialEvents=true")
		if (e.Verb == "list" || initial) && strings.HasPrefix(e.UserAgent, "k8s-vectordb-sync/") && e.Namespace == "" {
			n++
		}
	}
	return n
}

// TestThreeReplicasShareTheWorkAndLoseNothing kills, adds and removes replicas under churn. It has the machine for
// itself: if the three do not start together, they send more objects twice than it allows.
func TestThreeReplicasShareTheWorkAndLoseNothing(t *testing.T) {
	r := fleet.New(t, fleet.Options{ControlPlane: controlplane.Options{AuditLog: true}})
	churn, objects := size()
	c := cluster(t, r, objects)
	h := newHistory()
	var replicas []*fleet.Replica
	for range 3 {
		// The test counts lists, so verifications are switched off.
		replicas = append(replicas, r.Start(map[string]string{"SETTLE_TIME_MS": "1000", "VERIFY_INTERVAL_MIN": "0", "MAX_IN_FLIGHT": "6"}))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	took, n := r.WaitEqual(2 * time.Minute)
	t.Logf("%d objects in step after %v, sent by %v", n, took.Round(time.Millisecond), r.Receiver().Stats().BySender)
	// The ring forms while the first lists are read; objects that are handed over then are not sent twice.
	if u := r.Receiver().Stats().Upserts; u > n+n/100 {
		t.Errorf("%d upserts for %d objects", u, n)
	}

	owned := 0.0
	for _, p := range replicas {
		owned += p.Metric("k8s_vectordb_sync_ring_objects_owned", "member", p.Name)
	}
	if owned < float64(n-10) || owned > float64(n+10) { // each replica's checkpoint is an object, too
		t.Errorf("%v objects are owned in all, want %d", owned, n)
	}

	requestsAreShared(t, 6, replicas...)

	before := lists(t, r)
	t.Run("a member joins and leaves while nothing changes", func(t *testing.T) {
		mark := r.Receiver().Stats().Upserts
		p := r.Start(map[string]string{"VERIFY_INTERVAL_MIN": "0", "MAX_IN_FLIGHT": "6"})
		p.WaitReady(time.Minute)
		agreed(t, 30*time.Second, append(replicas, p)...)
		requestsAreShared(t, 6, append(replicas, p)...)
		joined := lists(t, r)
		if code := p.Stop(20 * time.Second); code != 0 {
			t.Errorf("exit code %d", code)
		}
		agreed(t, 30*time.Second, replicas...)
		requestsAreShared(t, 6, replicas...)
		r.WaitEqual(time.Minute)
		if again := r.Receiver().Stats().Upserts - mark; again > n/100 {
			t.Errorf("%d objects sent again", again)
		}
		if after := lists(t, r); after != joined {
			t.Errorf("%d lists because a member left", after-joined)
		}
		before = joined
	})
	t.Run("kill under churn", func(t *testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.churn(t, c, churn, false)
		}()
		fleet.Pause(churn / 3)
		replicas[0].Kill()
		<-done
		took, _ := r.WaitEqual(time.Minute)
		t.Logf("in step %v after the churn", took.Round(time.Millisecond))
		if after := lists(t, r); after != before {
			t.Errorf("%d lists because a member died", after-before)
		}
		stats := r.Receiver().Stats()
		if stats.Overlaps > 0 || stats.InBoth > 0 || stats.Mixed > 0 {
			t.Errorf("%d overlapping requests, %d IDs in both arrays, %d mixed payloads", stats.Overlaps, stats.InBoth, stats.Mixed)
		}
		if w := h.wrongDeletes(t, r); len(w) > 0 {
			t.Errorf("%d objects were deleted at the receiver alone, such as %v", len(w), w[:min(len(w), 3)])
		}
	})
	t.Run("all restart, and find what was deleted meanwhile", func(t *testing.T) {
		for _, p := range replicas[1:] { // objects in doubt that were taken over are sent again until they have settled
			fleet.Eventually(t, 30*time.Second, func() string {
				if n := p.Status().Targets[0].Unknown; n > 0 {
					return fmt.Sprintf("%s: %d objects in doubt", p.Name, n)
				}
				return ""
			})
		}
		for _, p := range replicas[1:] {
			if code := p.Stop(30 * time.Second); code != 0 {
				t.Errorf("exit code %d", code)
			}
		}
		mark := r.Receiver().Stats().Upserts
		r.Kube("", "delete", "configmaps,secrets,services", "--all", "--namespace", busiest(t, r), "--wait=false")
		again := []*fleet.Replica{r.Start(map[string]string{"POD_NAME": replicas[1].Name}), r.Start(map[string]string{"POD_NAME": replicas[2].Name})}
		for _, p := range again {
			p.WaitReady(time.Minute)
		}
		took, _ := r.WaitEqual(time.Minute)
		sent := r.Receiver().Stats().Upserts - mark
		t.Logf("in step %v after all were ready, %d upserts", took.Round(time.Millisecond), sent)
		if sent > n/100 {
			t.Errorf("%d of %d objects were sent again", sent, n)
		}
	})
}

// requestsAreShared waits until each replica has its part of the requests that all may have in flight.
func requestsAreShared(t *testing.T, all int, replicas ...*fleet.Replica) {
	t.Helper()
	fleet.Eventually(t, 30*time.Second, func() string {
		for _, p := range replicas {
			if got, want := int(p.Metric("k8s_vectordb_sync_delivery_in_flight_limit", "target", "default")), all/len(replicas); got != want {
				return fmt.Sprintf("%s may have %d requests in flight, want %d", p.Name, got, want)
			}
		}
		return ""
	})
}

// busiest is the namespace with the most objects.
func busiest(t *testing.T, r *fleet.Rig) string {
	t.Helper()
	counts := map[string]int{}
	best := ""
	for id := range r.Documents() {
		parts, err := resource.ParseID(string(id))
		if err != nil {
			t.Fatal(err)
		}
		if parts.Namespace == resource.ClusterNamespace || parts.Namespace == "default" || strings.HasPrefix(parts.Namespace, "kube-") {
			continue
		}
		counts[parts.Namespace]++
		if best == "" || counts[parts.Namespace] > counts[best] {
			best = parts.Namespace
		}
	}
	return best
}
