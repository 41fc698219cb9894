//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestDotAIIsAskedWhatItHolds has deletions that neither the API server nor an inventory can report, and documents
// that another program has put into the receiver. Two replicas share the work.
func TestDotAIIsAskedWhatItHolds(t *testing.T) {
	beside(t, 40*time.Second)
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	env := func(name string) map[string]string { return map[string]string{"POD_NAME": name, "STATE_DIR": ""} }
	var p, q *fleet.Replica

	t.Run("after a restart that nothing else can bridge", func(t *testing.T) {
		r := r.In(t)
		gone := batchOf(r, "gone", 20)
		p, q := r.Start(env("sync-0")), r.Start(env("sync-1"))
		settleIn(r, p, q)
		stopAll(t, p, q)
		forget(t, r, gone)
	})
	p, q = r.Start(env("sync-0")), r.Start(env("sync-1"))
	p.WaitReady(time.Minute)
	q.WaitReady(time.Minute)
	took, _ := r.WaitEqual(time.Minute)
	t.Logf("equal %v after both replicas were ready", took.Round(time.Millisecond))
	if got := p.Metric(foundMetric, "source", "receiver") + q.Metric(foundMetric, "source", "receiver"); got < 20 {
		t.Errorf("%v deletions were found by the receiver's list, want 20 at least", got)
	}
	fleet.Eventually(t, time.Minute, func() string {
		for _, x := range []*fleet.Replica{p, q} {
			if got := x.Metric(unknownMetric); got != 0 {
				return fmt.Sprintf("%s says of %v types that deletions are unknown", x.Name, got)
			}
			if unknown := x.Status().Targets[0].UnknownDeletions; len(unknown) > 0 {
				return fmt.Sprintf("%s says of %v that deletions are unknown", x.Name, unknown)
			}
		}
		return ""
	})

	t.Run("a resync repairs what is in its scope", func(t *testing.T) {
		r, p := r.In(t), p.In(t)
		plant(t, r, "default", "few", 5)
		plant(t, r, "kube-system", "other", 5)
		if got := postResync(t, p, "?resource=configmaps&namespace=default"); got.OrphansDeleted != 5 || got.OrphansHeld != 0 {
			t.Errorf("the resync of one namespace says %+v, want 5 orphans deleted", got)
		}
		r.WaitEqual(converge, planted("kube-system", "other", 5)...)
		if got := postResync(t, p, "?resource=configmaps"); got.OrphansDeleted != 5 || got.OrphansHeld != 0 {
			t.Errorf("the resync of the type says %+v, want 5 orphans deleted", got)
		}
		r.WaitEqual(converge)
	})

	t.Run("too many wait for force, whichever replica is asked", func(t *testing.T) {
		r, p, q := r.In(t), p.In(t), q.In(t)
		plant(t, r, "default", "many", 80)
		if got := postResync(t, p, "?resource=configmaps"); got.OrphansDeleted != 0 || got.OrphansHeld != 80 {
			t.Errorf("the resync says %+v, want 80 orphans held back", got)
		}
		r.WaitEqual(converge, planted("default", "many", 80)...)
		if n := len(r.Documents()); n < 80 {
			t.Fatalf("%d documents are left", n)
		}
		for _, id := range planted("default", "many", 80) {
			if _, there := r.Documents()[id]; !there {
				t.Fatalf("%s was deleted without a person's word", id)
			}
		}
		fleet.Eventually(t, converge, func() string {
			for _, x := range []*fleet.Replica{p, q} {
				if held := x.Status().Targets[0].HeldRepairs; len(held) != 1 || held[0].Source != "receiver" || held[0].Documents != 80 || held[0].Resource != "configmaps.v1" {
					return fmt.Sprintf("%s says that these wait: %+v", x.Name, held)
				}
			}
			return ""
		})
		fleet.Eventually(t, converge, func() string {
			if got := eventsOf(r, "default", "RepairHeld"); len(got) != 1 || !strings.Contains(got[0], " 80 of configmaps.v1 ") {
				return fmt.Sprintf("Events of held repairs: %q, want one about 80 ConfigMaps", got)
			}
			return ""
		})
		if got := p.Metric(heldMetric) + q.Metric(heldMetric); got != 80 {
			t.Errorf("%v deletions are held back, want 80", got)
		}
		if got := postResync(t, q, "?resource=configmaps&force=true"); got.OrphansDeleted != 80 || got.OrphansHeld != 0 {
			t.Errorf("the resync with force says %+v, want 80 orphans deleted", got)
		}
		r.WaitEqual(converge)
		fleet.Eventually(t, converge, func() string {
			for _, x := range []*fleet.Replica{p, q} {
				if held := x.Status().Targets[0].HeldRepairs; len(held) > 0 {
					return fmt.Sprintf("%s says that these wait: %+v", x.Name, held)
				}
			}
			return ""
		})
	})
}

// planted are IDs of ConfigMaps that never existed.
func planted(namespace, prefix string, n int) []resource.ID {
	ids := make([]resource.ID, n)
	for i := range ids {
		ids[i] = resource.ID(fmt.Sprintf("%s/v1/ConfigMap/%s-%d", namespace, prefix, i))
	}
	return ids
}

// plant puts documents of such ConfigMaps into the receiver.
func plant(t *testing.T, r *fleet.Rig, namespace, prefix string, n int) {
	t.Helper()
	var upserts []map[string]any
	for i := range n {
		upserts = append(upserts, map[string]any{
			"namespace": namespace, "name": fmt.Sprintf("%s-%d", prefix, i), "kind": "ConfigMap", "apiVersion": "v1",
			"createdAt": "2026-01-15T10:30:00Z", "updatedAt": "2026-01-15T10:30:00Z",
		})
	}
	body, err := json.Marshal(map[string]any{"upserts": upserts, "deletes": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.SyncURL(), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+fleet.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if answer, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("answer %d %s, %v", resp.StatusCode, answer, err)
	}
}

// postResync asks a replica for a resync, waits for its end, and returns the result.
func postResync(t *testing.T, p *fleet.Replica, query string) api.Operation {
	t.Helper()
	began := time.Now()
	op := followResync(t, p, askResync(t, p, "&"+query[1:]).ID)
	t.Logf("resync%s: %d objects, %d orphans deleted, %d held back, in %v", query, op.Resources.Done, op.OrphansDeleted, op.OrphansHeld,
		time.Since(began).Round(time.Millisecond))
	if len(op.Failed) > 0 {
		t.Errorf("types were not resynced: %+v", op.Failed)
	}
	return op
}
