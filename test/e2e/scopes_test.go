//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestAResyncSendsExactlyItsScope asks three replicas in turn for resyncs of every scope, and counts the requests.
func TestAResyncSendsExactlyItsScope(t *testing.T) {
	beside(t, 30*time.Second)
	r := fleet.New(t, fleet.Options{})
	c := cluster(t, r, 600)
	var replicas []*fleet.Replica
	var names []string
	for range 3 {
		// A replica that was fenced sends a part again, and rightly so. Here each object is counted.
		p := r.Start(map[string]string{"LEASE_DURATION_MS": "60000", "LEASE_RENEW_DEADLINE_MS": "40000", "LEASE_RENEW_INTERVAL_MS": "2000"})
		replicas, names = append(replicas, p), append(names, p.Name)
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, 30*time.Second, replicas...)
	r.WaitEqual(time.Minute)
	fixed, err := ring.New(names, ring.DefaultFormat())
	if err != nil {
		t.Fatal(err)
	}
	namespace, _, _ := strings.Cut(string(c.IDs()[len(c.IDs())/2]), "/")
	objects := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Objects())), own)

	for i, s := range []struct {
		name, query string
		has         func(id string) bool
	}{
		{"everything", "", func(string) bool { return true }},
		{"a resource", "&resource=pods", func(id string) bool { return strings.Contains(id, "/v1/Pod/") && strings.Count(id, "/") == 3 }},
		{"a namespace", "&namespace=" + namespace, func(id string) bool { return strings.HasPrefix(id, namespace+"/") }},
		{"both", "&resource=configmaps.v1&namespace=" + namespace, func(id string) bool { return strings.HasPrefix(id, namespace+"/v1/ConfigMap/") }},
		{"cluster-scoped objects", "&namespace=_cluster", func(id string) bool { return strings.HasPrefix(id, "_cluster/") }},
		{"a cluster-scoped resource", "&resource=clusterroles.rbac.authorization.k8s.io&namespace=_cluster", func(id string) bool { return strings.Contains(id, "/ClusterRole/") }},
	} {
		for j, scope := range []string{"fleet", "replica"} {
			asked, watched := replicas[(i+j)%3], replicas[(i+j+1)%3]
			t.Run(scope+" "+s.name, func(t *testing.T) {
				want := slices.DeleteFunc(slices.Clone(objects), func(id resource.ID) bool {
					return !s.has(string(id)) || scope == "replica" && fixed.Owner(fixed.Partition(string(id))) != asked.Name
				})
				mark := r.Mark()
				op := followResync(t, watched, askResync(t, asked, s.query+"&scope="+scope).ID)
				records := r.Since(mark)
				got := sent(records)
				if extra, missing, twice := compareSent(want, got); len(extra)+len(missing)+len(twice) > 0 {
					t.Errorf("of %d objects %d were not sent, such as %v; %d were sent and not asked for, such as %v; %d were sent twice, such as %v",
						len(want), len(missing), first(missing), len(extra), first(extra), len(twice), first(twice))
					t.Log(strings.Join(requestsOf(records, twice), "\n"))
				}
				if len(want) == 0 || op.Member != asked.Name || string(op.Scope) != scope {
					t.Errorf("%d objects in scope; the operation is %+v", len(want), op)
				}
			})
		}
	}

	t.Run("equal requests are one", func(t *testing.T) {
		r := r.In(t)
		r.SetFaults(receiver.Rule{Effect: receiver.Effect{Delay: receiver.Duration(2 * time.Second)}})
		mark := r.Mark()
		first := askResync(t, replicas[0], "&resource=serviceaccounts")
		ids := make([]string, 6)
		var requests sync.WaitGroup
		for i := range ids {
			requests.Go(func() { ids[i] = askResync(t, replicas[i%3], "&resource=serviceaccounts").ID })
		}
		requests.Wait()
		r.Receiver().ClearFaults()
		followResync(t, replicas[1], first.ID)
		for _, id := range ids {
			if id != first.ID {
				t.Errorf("another request is %s, want %s", id, first.ID)
			}
		}
		want := slices.DeleteFunc(slices.Clone(objects), func(id resource.ID) bool { return !strings.Contains(string(id), "/v1/ServiceAccount/") })
		if extra, missing, twice := compareSent(want, sent(r.Since(mark))); len(extra)+len(missing)+len(twice) > 0 {
			t.Errorf("missing %v, not asked for %v, twice %v", missing, extra, twice)
		}
	})
	r.WaitEqual(converge)
}

// own tells whether an object is one of the replicas' own, which change at any time.
func own(id resource.ID) bool {
	return strings.HasPrefix(string(id), "default/v1/ConfigMap/k8s-vectordb-sync-")
}

// sent counts upserts by ID, without the replicas' own objects.
func sent(records []receiver.Record) map[resource.ID]int {
	counts := make(map[resource.ID]int)
	for _, rec := range records {
		for _, u := range rec.Upserts {
			if id := resource.ID(u.ID); !own(id) {
				counts[id]++
			}
		}
	}
	return counts
}

// first returns the first few IDs.
func first(ids []string) []string { return ids[:min(len(ids), 10)] }

// requestsOf tells of each request that carried one of the objects who sent it, and when.
func requestsOf(records []receiver.Record, ids []string) []string {
	var lines []string
	for _, rec := range records {
		var of []string
		for _, u := range rec.Upserts {
			if slices.ContainsFunc(ids, func(id string) bool { return strings.HasPrefix(id, u.ID+" ") }) {
				of = append(of, u.ID)
			}
		}
		if len(of) > 0 {
			lines = append(lines, fmt.Sprintf("request %d of %s, %s to %s, status %d, %d upserts, with %v", rec.Seq, rec.Sender,
				rec.Begin.Format(time.StampMilli), rec.End.Format(time.StampMilli), rec.Status, len(rec.Upserts), of))
		}
	}
	return lines
}

// compareSent compares the sent objects with those that should be sent once.
func compareSent(want []resource.ID, got map[resource.ID]int) (extra, missing, twice []string) {
	for _, id := range want {
		switch got[id] {
		case 0:
			missing = append(missing, string(id))
		case 1:
		default:
			twice = append(twice, fmt.Sprint(id, " ", got[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(got)) {
		if !slices.Contains(want, id) {
			extra = append(extra, string(id))
		}
	}
	return extra, missing, twice
}
