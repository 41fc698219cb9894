//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// askResync asks a replica for a resync, and returns the operation at once.
func askResync(t *testing.T, p *fleet.Replica, query string) api.Operation {
	t.Helper()
	var op api.Operation
	fleet.Eventually(t, 30*time.Second, func() string {
		res, err := http.Post("http://"+p.API+"/api/v1/resync?wait=false"+query, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		if res.StatusCode == http.StatusServiceUnavailable {
			return "answer 503" // It is ready but not in the ring, as while a dead member's Lease stands.
		}
		if err := json.NewDecoder(res.Body).Decode(&op); err != nil || res.StatusCode != http.StatusAccepted {
			t.Fatalf("answer %d, %v", res.StatusCode, err)
		}
		return ""
	})
	return op
}

// followResync waits until an operation has ended, as one replica reports it.
func followResync(t *testing.T, p *fleet.Replica, id string) api.Operation {
	t.Helper()
	var op api.Operation
	within := 2 * time.Minute
	if os.Getenv("E2E_LONG") != "" {
		within = 10 * time.Minute
	}
	fleet.Eventually(t, within, func() string {
		code, body := p.Get("http://" + p.API + "/api/v1/resync/" + id)
		if code != http.StatusOK {
			return fmt.Sprintf("answer %d %s", code, body)
		}
		op = api.Operation{}
		if err := json.Unmarshal([]byte(body), &op); err != nil {
			return err.Error()
		}
		if op.Status != api.OperationDone {
			return fmt.Sprintf("%s is %s: %+v", id, op.Status, op)
		}
		return ""
	})
	return op
}

// listsByType counts lists of watched types; the pages of one list count once.
func listsByType(t *testing.T, r *fleet.Rig) map[string]int {
	t.Helper()
	events, err := r.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	for _, e := range events {
		if e.Verb == "list" && strings.HasPrefix(e.UserAgent, "k8s-vectordb-sync/") && !strings.Contains(e.URI, "continue=") &&
			!strings.Contains(e.URI, "labelSelector=") && !strings.Contains(e.URI, "fieldSelector=") {
			path, _, _ := strings.Cut(e.URI, "?")
			counts[path]++
		}
	}
	return counts
}

// TestAResyncIsSharedOutOverTheFleetAndStaysExact resyncs everything over three replicas while objects change, then
// again while a replica is killed in the middle.
func TestAResyncIsSharedOutOverTheFleetAndStaysExact(t *testing.T) {
	besideUnlessMeasured(t, 70*time.Second)
	r := fleet.New(t, fleet.Options{ControlPlane: controlplane.Options{AuditLog: true}})
	long, objects := size()
	c := cluster(t, r, objects)
	var replicas []*fleet.Replica
	for range 3 {
		// The test counts lists, so verifications are switched off.
		replicas = append(replicas, r.Start(unhurried(map[string]string{"SETTLE_TIME_MS": "1000", "VERIFY_INTERVAL_MIN": "0"})))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	_, n := r.WaitEqual(2 * time.Minute)
	for _, p := range replicas {
		p.WaitInStep(time.Minute)
	}

	t.Run("while nothing changes", func(t *testing.T) {
		mark, before := r.Receiver().Stats().Upserts, listsByType(t, r)
		memory := watchMemory(t, replicas...)
		op := followResync(t, replicas[2], askResync(t, replicas[0], "").ID)
		memory.check(t)
		sent := r.Receiver().Stats().Upserts - mark
		t.Logf("%d objects sent of %d, by %+v", sent, n, op.Shares)
		if sent < n-10 || sent > n+n/100+10 {
			t.Errorf("%d objects were sent, want each of %d once", sent, n)
		}
		if len(op.Shares) != 3 {
			t.Errorf("%d members took part, want 3", len(op.Shares))
		}
		for _, s := range op.Shares {
			if s.Resources.Done > n/2 { // 1.5 times a third
				t.Errorf("%s sent %d of %d objects", s.Member, s.Resources.Done, n)
			}
		}
		whole, twice := 0, 0
		for path, count := range listsByType(t, r) {
			if strings.Contains(path, "/namespaces/") {
				continue
			}
			switch count - before[path] {
			case 0:
			case 1:
				whole++
			default:
				twice++
				t.Errorf("%s was listed %d times", path, count-before[path])
			}
		}
		t.Logf("%d types were listed once, %d more than once", whole, twice)
		if whole < 60 {
			t.Errorf("%d types were listed", whole)
		}
		r.WaitEqual(converge)
	})
	t.Run("while objects change", func(t *testing.T) {
		r.SetFaults(receiver.Rule{Effect: receiver.Effect{Delay: receiver.Duration(200 * time.Millisecond)}})
		defer r.Receiver().ClearFaults()
		h := newHistory()
		memory := watchMemory(t, replicas...)
		done := make(chan struct{})
		go func() {
			defer close(done)
			h.churn(t, c, long, false)
		}()
		ops := 0
		for ended := false; !ended; ops++ {
			followResync(t, replicas[1], askResync(t, replicas[ops%3], "").ID)
			select {
			case <-done:
				ended = true
			default:
			}
		}
		memory.check(t)
		r.Receiver().ClearFaults()
		took, _ := r.WaitEqual(converge)
		t.Logf("%d resyncs under churn; equal %v after", ops, took.Round(time.Millisecond))
	})
	t.Run("while a replica is killed", func(t *testing.T) {
		r.SetFaults(receiver.Rule{Effect: receiver.Effect{Delay: receiver.Duration(300 * time.Millisecond)}})
		op := askResync(t, replicas[0], "")
		h := newHistory()
		h.churn(t, c, 2*time.Second, false)
		replicas[2].Kill()
		h.churn(t, c, 3*time.Second, false)
		r.Receiver().ClearFaults()
		ended := followResync(t, replicas[0], op.ID)
		took, _ := r.WaitEqual(converge)
		t.Logf("done by %+v; equal %v after", ended.Shares, took.Round(time.Millisecond))
		if len(ended.Failed) > 0 {
			t.Errorf("types were not resynced: %+v", ended.Failed)
		}
	})
}
