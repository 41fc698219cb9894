//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

const (
	// converge is how long after the end of a fault the receiver may differ from the cluster.
	converge = 30 * time.Second
	// settle is SETTLE_TIME_MS of the stories with requests of unknown outcome. settled is how long after the last
	// such request the receiver may differ.
	settle  = 5 * time.Second
	settled = settle + 10*time.Second
)

// maxBatch is BATCH_MAX_SIZE of all stories: its default.
const maxBatch = 50

// unhurried is the lease of replicas whose lists or requests are counted. None of them may be fenced because other
// stories have the processor for two seconds.
func unhurried(env map[string]string) map[string]string {
	lease := map[string]string{"LEASE_DURATION_MS": "9000", "LEASE_RENEW_DEADLINE_MS": "6000", "LEASE_RENEW_INTERVAL_MS": "2000"}
	maps.Copy(lease, env)
	return lease
}

// rate returns how many changes there are each second. E2E_LONG=1 makes it the full measure.
func rate() float64 {
	if os.Getenv("E2E_LONG") != "" {
		return 200
	}
	return 100
}

// size returns how long a churn is and how many objects there are. E2E_LONG=1 makes it the full measure.
func size() (churn time.Duration, objects int) {
	if os.Getenv("E2E_LONG") != "" {
		return time.Minute, 20_000
	}
	return 20 * time.Second, 2000
}

// cluster fills the rig's cluster.
func cluster(t *testing.T, r *fleet.Rig, objects int) *workload.Cluster {
	t.Helper()
	fillings.Take(0)
	defer fillings.Give()
	c, err := workload.Generate(t.Context(), r.RESTConfig(), workload.Options{Objects: objects, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cluster of %d objects made in %v", len(c.IDs()), c.Took.Round(time.Second))
	return c
}

// history is every change that was made to a cluster.
type history struct {
	anew    map[resource.ID]bool // created, or created again
	removed map[resource.ID]bool // deleted, with or without a successor
	seed    uint64
}

func newHistory() *history {
	return &history{anew: make(map[resource.ID]bool), removed: make(map[resource.ID]bool)}
}

// churn changes the cluster at the rate of the stories for so long, or longer if the API server is slower. Changes
// may fail only where the API server does. It ends by itself: the outcome of a change that is cut off in the middle
// would be unknown.
func (h *history) churn(t *testing.T, c *workload.Cluster, d time.Duration, mayFail bool) {
	t.Helper()
	h.seed++
	h.run(t, c, workload.ChurnOptions{Rate: rate(), Changes: int(rate() * d.Seconds()), Workers: 32, Seed: h.seed}, mayFail)
}

// run changes the cluster, and records the changes.
func (h *history) run(t *testing.T, c *workload.Cluster, opts workload.ChurnOptions, mayFail bool) {
	t.Helper()
	began := time.Now()
	changes := c.Churn(t.Context(), opts)
	took := time.Since(began)
	for _, change := range changes {
		if change.Err != nil && !mayFail && !apierrors.IsNotFound(change.Err) {
			t.Errorf("%s of %s: %v", change.Op, change.ID, change.Err)
		}
		switch change.Op {
		case workload.OpCreate:
			h.anew[change.ID] = true
		case workload.OpRecreate:
			h.anew[change.ID], h.removed[change.ID] = true, true
		case workload.OpDelete, workload.OpFinalize:
			h.removed[change.ID] = true
		case workload.OpLabel, workload.OpDescribe, workload.OpFlip, workload.OpStatus, workload.OpNoise:
		}
	}
	counts := workload.Count(changes)
	t.Logf("%.0f changes a second for %v: %v", float64(len(changes))/took.Seconds(), took.Round(time.Second), counts)
	for _, op := range []workload.Op{workload.OpLabel, workload.OpDelete, workload.OpCreate, workload.OpRecreate} {
		if counts[op] == 0 {
			t.Errorf("no change was a %s", op)
		}
	}
}

// check compares the requests to the receiver so far with the rules that no fault excuses.
func (h *history) check(t *testing.T, r *fleet.Rig, p *fleet.Replica) {
	t.Helper()
	for _, s := range r.Receivers() {
		stats := s.Stats()
		if stats.Overlaps > 0 {
			o := s.Overlaps()
			i := slices.IndexFunc(o, func(o receiver.Overlap) bool { return !o.Abandoned })
			t.Errorf("%d times two requests held one ID, as %s in\n%+v\n%+v", stats.Overlaps, o[i].ID, brief(o[i].First), brief(o[i].Second))
		}
		if stats.InBoth > 0 || stats.Mixed > 0 {
			t.Errorf("%d payloads with upserts and deletes, %d IDs in both", stats.Mixed, stats.InBoth)
		}
		if stats.MaxUpserts > maxBatch || stats.MaxBytes > 1<<20 {
			t.Errorf("a payload of %d upserts, one of %d bytes", stats.MaxUpserts, stats.MaxBytes)
		}
	}
	if u := fleet.Unexplained(r.Requests(), func(id resource.ID) bool { return h.anew[id] }); len(u) > 0 {
		// A state that is changed and changed back during a fence is sent: another member might have sent the one in
		// between.
		fences, unseen := p.Metric("k8s_vectordb_sync_ring_fence_events_total"), r.Unseen(p)
		if unseen > 0 { // The last words of what these requests carried are repeated, and count once.
			slices.Sort(u)
			u = slices.Compact(u)
		}
		t.Logf("%d upserts changed nothing without a reason but %v fences and %d requests that no receiver has read, such as %v; of the first:\n%s",
			len(u), fences, unseen, u[:min(len(u), 3)], told(r.Requests(), u[0]))
		const few = 8 // a hundredth of the objects that a churn of the full measure makes anew
		reasons := maxBatch * unseen
		if fences > 0 {
			reasons += max(few, len(h.anew)/100)
		}
		if len(u) > reasons {
			t.Errorf("%d upserts changed nothing; %v fences and %d requests that no receiver has read are no reason for them", len(u), fences, unseen)
		}
	}
	if w := h.wrongDeletes(t, r); len(w) > 0 {
		t.Errorf("%d objects were deleted at the receiver that were never deleted in the cluster, such as %v", len(w), w[:min(len(w), 3)])
	}
	if n := p.Metric("k8s_vectordb_sync_dropped_total"); n != 0 {
		t.Errorf("%v changes dropped", n)
	}
}

// wrongDeletes returns objects that were deleted at the receiver, exist in the cluster, and were never deleted
// there. The API server makes and deletes an IPAddress for each Service by itself.
func (h *history) wrongDeletes(t *testing.T, r *fleet.Rig) []resource.ID {
	t.Helper()
	objects := r.Objects()
	wrong := make(map[resource.ID]bool)
	for _, rec := range r.Requests() {
		for _, deleted := range rec.Deletes {
			id := resource.ID(deleted)
			if _, there := objects[id]; there && !h.removed[id] && !strings.Contains(deleted, "/IPAddress/") {
				wrong[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(wrong))
}

// resyncs is the object in which the fleet keeps the state of resyncs.
const resyncs resource.ID = "default/v1/ConfigMap/k8s-vectordb-sync-resyncs"

// checkpoint is the object that holds a replica's checkpoint. The replica writes it some seconds after its start and
// at its end.
func checkpoint(p *fleet.Replica) resource.ID {
	return resource.ID("default/v1/ConfigMap/k8s-vectordb-sync-default-" + p.Name)
}

// waitCheckpoint waits until the ConfigMaps that the replica writes, its checkpoint and the state of resyncs, count
// as objects like any other.
func waitCheckpoint(t *testing.T, r *fleet.Rig, p *fleet.Replica) {
	t.Helper()
	fleet.Eventually(t, converge, func() string {
		docs := r.Documents()
		if _, there := docs[checkpoint(p)]; !there {
			return "there is no checkpoint at the receiver"
		}
		if _, there := docs[resyncs]; !there {
			return "the state of resyncs is not at the receiver"
		}
		return ""
	})
}

// brief is a record without its long lists.
func brief(r receiver.Record) receiver.Record {
	r.Upserts, r.Deletes = nil, nil
	return r
}

// told lists the requests that held an ID, a line for each.
func told(records []receiver.Record, id string) string {
	var lines strings.Builder
	for _, rec := range records {
		for _, u := range rec.Upserts {
			if u.ID == id {
				fmt.Fprintf(&lines, "upsert %+v in %+v\n", u, brief(rec))
			}
		}
		if slices.Contains(rec.Deletes, id) {
			fmt.Fprintf(&lines, "delete in %+v\n", brief(rec))
		}
	}
	return lines.String()
}
