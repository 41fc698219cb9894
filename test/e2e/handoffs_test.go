//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// TestResyncsThatOverlapStayExact asks three replicas at once for full resyncs, and for some of one type or one
// namespace. Meanwhile 60 objects a second change, go and come again, and the receiver is slow. Afterwards no
// document may be missing, stale or wrong, and no ID may have been in two requests at once.
func TestResyncsThatOverlapStayExact(t *testing.T) {
	t.Parallel()
	late := func(percent float64, d time.Duration) receiver.Rule {
		return receiver.Rule{Match: receiver.Match{Percent: percent}, Effect: receiver.Effect{Delay: receiver.Duration(d)}}
	}
	for name, tt := range map[string]struct {
		env   map[string]string
		cut   bool // one type is so large that it is cut by namespaces
		rules []receiver.Rule
	}{
		"every request takes 700 ms": {map[string]string{"SETTLE_TIME_MS": "1000"}, false, []receiver.Rule{late(100, 700*time.Millisecond)}},
		"nine requests of up to 8 s": {
			map[string]string{"SETTLE_TIME_MS": "3000", "MAX_IN_FLIGHT": "9"}, true,
			[]receiver.Rule{late(10, 8*time.Second), late(30, 2*time.Second), late(100, 300*time.Millisecond)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			beside(t, 130*time.Second)
			r := fleet.New(t, fleet.Options{})
			_, objects := size()
			if tt.cut {
				objects /= 2
				stockMany(t, r, 3*objects/2) // so that ConfigMaps are more than one member's share
			}
			c := cluster(t, r, objects)
			var replicas []*fleet.Replica
			for range 3 {
				replicas = append(replicas, r.Start(unhurried(tt.env)))
			}
			for _, p := range replicas {
				p.WaitReady(time.Minute)
			}
			agreed(t, 30*time.Second, replicas...)
			r.WaitEqual(2 * time.Minute)
			for round := range 3 {
				r.SetFaults(tt.rules...)
				h := newHistory()
				h.seed = uint64(round) * 100
				done := make(chan struct{})
				go func() {
					defer close(done)
					h.run(t, c, workload.ChurnOptions{Rate: 60, Changes: 60 * 20, Workers: 32, Seed: h.seed}, false)
				}()
				var ids []string
				for i, p := range replicas {
					ids = append(ids, askResync(t, p, "").ID,
						askResync(t, p, "&resource="+url.QueryEscape([]string{"configmaps", "deployments.apps", "secrets"}[i])).ID,
						askResync(t, p, "&namespace="+someNamespace(r)).ID)
				}
				<-done
				r.Receiver().ClearFaults()
				for _, id := range ids {
					op := followResync(t, replicas[round%3], id)
					if len(op.Failed) > 0 {
						t.Errorf("types were not resynced: %+v", op.Failed)
					}
					if whole := op.Resource+op.Namespace == ""; tt.cut && whole && len(op.Shares) > 0 && parts(op) <= op.Types.Total {
						t.Errorf("%d types in %d parts, want one that is cut", op.Types.Total, parts(op))
					}
				}
				took, n := equalOrTold(t, r, converge)
				t.Logf("round %d: %d operations, %d objects equal after %v", round, len(ids), n, took.Round(time.Millisecond))
				if o := r.Receiver().Stats().Overlaps; o > 0 {
					t.Errorf("%d times two requests held one ID", o)
				}
			}
		})
	}
}

// equalOrTold is [fleet.Rig.WaitEqual], and a failure names the requests with the wrong objects.
func equalOrTold(t *testing.T, r *fleet.Rig, within time.Duration) (time.Duration, int) {
	t.Helper()
	done := false
	defer func() {
		if done {
			return
		}
		diff := r.Diff()
		ids := slices.Concat(diff.Missing, diff.Stale)
		for _, w := range diff.Wrong {
			ids = append(ids, w.ID)
		}
		for _, id := range ids[:min(len(ids), 3)] {
			t.Logf("%s:\n%s", id, told(r.Requests(), string(id)))
		}
	}()
	took, n := r.WaitEqual(within)
	done = true
	return took, n
}

// stockMany creates so many ConfigMaps in a dozen namespaces.
func stockMany(t *testing.T, r *fleet.Rig, n int) {
	t.Helper()
	const namespaces = 12
	for i := range namespaces {
		namespace := fmt.Sprintf("crowd-%d", i)
		r.Kube("", "create", "namespace", namespace)
		var names []string
		for j := range n / namespaces {
			names = append(names, fmt.Sprintf("one-of-many-%d", j))
		}
		stock(t, r, namespace, names...)
	}
}

// parts is the number of parts of a resync.
func parts(op api.Operation) (n int) {
	for _, s := range op.Shares {
		n += s.Parts.Total
	}
	return n
}

// someNamespace is a namespace with objects.
func someNamespace(r *fleet.Rig) string {
	var all []string
	for id := range r.Objects() {
		if p, err := resource.ParseID(string(id)); err == nil && p.Namespace != resource.ClusterNamespace {
			all = append(all, p.Namespace)
		}
	}
	return all[rand.IntN(len(all))]
}

// TestAJoinDoesNotWaitForAResync starts a replica in the middle of a full resync, with a receiver that takes a
// second for each request. The replica has its share as soon as the requests in flight have ended.
func TestAJoinDoesNotWaitForAResync(t *testing.T) {
	beside(t, 30*time.Second)
	r := fleet.New(t, fleet.Options{})
	_, objects := size()
	cluster(t, r, objects)
	env := map[string]string{"SETTLE_TIME_MS": "1000"}
	replicas := []*fleet.Replica{r.Start(env), r.Start(env)}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	r.WaitEqual(2 * time.Minute)
	r.SetFaults(receiver.Rule{Effect: receiver.Effect{Delay: receiver.Duration(time.Second)}})
	op := askResync(t, replicas[0], "")
	fleet.Eventually(t, time.Minute, func() string {
		if sent := replicas[0].Metric("k8s_vectordb_sync_resync_objects_total"); sent == 0 {
			return "nothing is sent again yet"
		}
		return ""
	})
	began := time.Now()
	joined := r.Start(env)
	joined.WaitReady(time.Minute)
	ready := time.Since(began)
	fleet.Eventually(t, time.Minute, func() string {
		if n := joined.Metric("k8s_vectordb_sync_ring_partitions_owned"); n < 1200 {
			return fmt.Sprintf("the new replica owns %v partitions", n)
		}
		return ""
	})
	took := time.Since(began)
	t.Logf("ready after %v, owns its share after %v", ready.Round(time.Millisecond), took.Round(time.Millisecond))
	if took > 15*time.Second {
		t.Errorf("the new replica owned its share after %v, want within 15 s", took)
	}
	if code, body := replicas[0].Get("http://" + replicas[0].API + "/api/v1/resync/" + op.ID); code != 200 {
		t.Errorf("answer %d %s", code, body)
	}
	r.Receiver().ClearFaults()
	if ended := followResync(t, replicas[1], op.ID); len(ended.Failed) > 0 {
		t.Errorf("types were not resynced: %+v", ended.Failed)
	}
	r.WaitEqual(converge)
}
