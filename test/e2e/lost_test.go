//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// ours is the beginning of the IDs of the replicas' own ConfigMaps.
const ours = "default/v1/ConfigMap/k8s-vectordb-sync-"

// onlyOurs tells whether a request holds only objects that the replicas have written for the first time.
func onlyOurs(rec receiver.Record) bool {
	return len(rec.Deletes) == 0 && !slices.ContainsFunc(rec.Upserts, func(u receiver.Upsert) bool { return !strings.HasPrefix(u.ID, ours) })
}

// between puts a proxy between one replica and the API server.
func between(t *testing.T, r *fleet.Rig) (a *netfault.API, env map[string]string) {
	t.Helper()
	a, err := netfault.NewAPI(r.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	kubeconfig, err := a.Kubeconfig(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a, map[string]string{"KUBECONFIG": kubeconfig}
}

// threeLost is a cluster of three ConfigMaps, one for each kind of event, of which none arrives.
type threeLost struct {
	r    *fleet.Rig
	kube *kubernetes.Clientset
	lost atomic.Int64
	want int64 // how many events are to be lost, 0 for three
}

func newThreeLost(t *testing.T, r *fleet.Rig) *threeLost {
	t.Helper()
	l := &threeLost{r: r, kube: kubernetes.NewForConfigOrDie(r.RESTConfig())}
	for _, name := range []string{"modified", "deleted"} {
		if _, err := l.kube.CoreV1().ConfigMaps("default").Create(t.Context(), labelled(name, "old"), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func labelled(name, value string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"value": value}}}
}

// lose makes a replica's API lose one event of each kind, and returns when it has. They stay lost: no stream brings
// them back that continues from an earlier version, or that no client reads any more.
func (l *threeLost) lose(t *testing.T, a *netfault.API) {
	t.Helper()
	want := map[string]watch.EventType{"added": watch.Added, "deleted": watch.Deleted, "modified": watch.Modified}
	a.OnEvent(func(e netfault.Event) netfault.Verdict {
		if e.Request.Resource.Resource == "configmaps" && want[e.Name] == e.Type && !e.Initial {
			l.lost.Add(1)
			return netfault.Drop
		}
		return netfault.Pass
	})
	maps := l.kube.CoreV1().ConfigMaps("default")
	if _, err := maps.Create(t.Context(), labelled("added", "new"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := maps.Update(t.Context(), labelled("modified", "new"), metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := maps.Delete(t.Context(), "deleted", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	fleet.Eventually(t, 30*time.Second, func() string {
		if n, want := l.lost.Load(), cmp.Or(l.want, 3); n < want {
			return fmt.Sprintf("%d of %d events were lost", n, want)
		}
		return ""
	})
}

// mustDiffer fails a test whose events were not lost.
func mustDiffer(t *testing.T, r *fleet.Rig) {
	t.Helper()
	if d := r.Diff(); d.Empty() {
		t.Fatal("the receiver is equal although three events were lost: the test proves nothing")
	}
}

// divergences returns how many divergences a replica has counted, 0 without a series; an empty source means all.
func divergences(p *fleet.Replica, resource, source string) (n int) {
	_, body := p.Get("http://" + p.Metrics + "/metrics")
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "k8s_vectordb_sync_divergences_total{") && strings.Contains(line, `resource="`+resource+`"`) &&
			strings.Contains(line, `source="`+source) {
			var one int
			if _, err := fmt.Sscan(line[strings.LastIndex(line, "}")+1:], &one); err == nil {
				n += one
			}
		}
	}
	return n
}

// streamsOf describes the watches of a replica, for a story that has failed.
func streamsOf(p *fleet.Replica) string {
	_, body := p.Get("http://" + p.Metrics + "/metrics")
	var said strings.Builder
	for line := range strings.Lines(body) {
		if strings.HasPrefix(line, "k8s_vectordb_sync_watch_") && !strings.Contains(line, "listed_objects") || strings.HasPrefix(line, "k8s_vectordb_sync_streams_") {
			said.WriteString(line)
		}
	}
	return said.String()
}

// TestAResyncEndsEqualToTheClusterAlthoughEventsWereLost: the list of the next resync finds an event that a watch
// has lost, and its object is right at the receiver when the resync has ended.
func TestAResyncEndsEqualToTheClusterAlthoughEventsWereLost(t *testing.T) {
	beside(t, 30*time.Second)
	for _, query := range []string{"", "?resource=configmaps", "?namespace=default"} {
		t.Run("resync"+query, func(t *testing.T) {
			r := fleet.New(t, fleet.Options{})
			l := newThreeLost(t, r)
			a, env := between(t, r)
			env["VERIFY_INTERVAL_MIN"] = "0"
			p := r.Start(env)
			p.WaitReady(time.Minute)
			r.WaitEqual(time.Minute)
			waitCheckpoint(t, r, p)
			l.lose(t, a)
			mustDiffer(t, r)
			if code, body := document(t, p).ask(t, http.MethodPost, "/api/v1/resync"+query); code != http.StatusOK {
				t.Fatalf("the resync is answered %d %s", code, body)
			}
			r.WaitEqual(0)
			if n := divergences(p, "configmaps.v1", "resync"); n != 1 {
				t.Errorf("%d divergences of ConfigMaps are counted, want 1", n)
			}
		})
	}
}

// TestAnEventThatAPeerHasSeenIsFoundWithinAMinute: one of three replicas loses three events, and no caller asks.
func TestAnEventThatAPeerHasSeenIsFoundWithinAMinute(t *testing.T) {
	beside(t, 40*time.Second)
	for unlucky := range 3 {
		t.Run(fmt.Sprint("replica ", unlucky), func(t *testing.T) {
			r := fleet.New(t, fleet.Options{})
			l := newThreeLost(t, r)
			a, env := between(t, r)
			var replicas []*fleet.Replica
			for i := range 3 {
				e := map[string]string{}
				if i == unlucky {
					e = env
				}
				e["VERIFY_INTERVAL_MIN"] = "0" // the peers have to find it
				replicas = append(replicas, r.Start(e))
			}
			for _, p := range replicas {
				p.WaitReady(time.Minute)
			}
			r.WaitEqual(time.Minute)
			waitCheckpoint(t, r, replicas[0])
			mark := r.Mark()
			l.lose(t, a)
			fleet.Eventually(t, time.Minute, func() string {
				if n := divergences(replicas[unlucky], "configmaps.v1", "peer"); n == 0 {
					return fmt.Sprintf("the replica that has lost events does not know it; the receiver: %v; %s", r.Diff(), streamsOf(replicas[unlucky]))
				}
				return ""
			})
			took, _ := r.WaitEqual(30 * time.Second)
			t.Logf("equal %v after the divergence was found", took)
			// An object without a lost event is not sent again.
			for _, rec := range r.Since(mark) {
				for _, u := range rec.Upserts {
					if u.ID != "default/v1/ConfigMap/added" && u.ID != "default/v1/ConfigMap/modified" && !strings.HasPrefix(u.ID, ours) {
						t.Errorf("%s was sent, and has not changed", u.ID)
					}
				}
			}
		})
	}
}

// TestAListFindsWhatNobodyHasSeen has one replica, no resync and no peer.
func TestAListFindsWhatNobodyHasSeen(t *testing.T) {
	beside(t, 40*time.Second)
	r := fleet.New(t, fleet.Options{})
	l := newThreeLost(t, r)
	a, env := between(t, r)
	env["VERIFY_INTERVAL_MIN"] = "1"
	p := r.Start(env)
	p.WaitReady(time.Minute)
	r.WaitEqual(time.Minute)
	waitCheckpoint(t, r, p)
	l.lose(t, a)
	mustDiffer(t, r)
	took, _ := r.WaitEqual(3 * time.Minute)
	t.Logf("equal after %v", took)
	if n := divergences(p, "configmaps.v1", "list"); n == 0 {
		t.Error("the divergence is not counted")
	}
}

// TestVerificationDeletesNothingOnAbsenceOfEvidence (I5) has answers that are halves, empty, or end in the middle.
func TestVerificationDeletesNothingOnAbsenceOfEvidence(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]netfault.Answer{
		"half": netfault.AnswerHalf, "empty": netfault.AnswerEmpty, "error": netfault.AnswerError, "broken": netfault.AnswerBroken,
	} {
		t.Run(name, func(t *testing.T) {
			besideWaiting(t, 90*time.Second)
			r := fleet.New(t, fleet.Options{})
			cluster(t, r, 300)
			a, env := between(t, r)
			env["VERIFY_INTERVAL_MIN"] = "1"
			p := r.Start(env)
			p.WaitReady(time.Minute)
			r.WaitEqual(time.Minute)
			waitCheckpoint(t, r, p)
			var mu sync.Mutex
			meddled := map[string]int{}
			mark := r.Mark()
			remove := a.OnRequest(func(q netfault.Request) netfault.Answer {
				if q.Limit == 0 || q.Watch {
					return netfault.AnswerTruly
				}
				mu.Lock()
				defer mu.Unlock()
				meddled[q.Resource.Resource]++
				return answer
			})
			fleet.Eventually(t, 3*time.Minute, func() string {
				mu.Lock()
				defer mu.Unlock()
				if len(meddled) < 10 {
					return fmt.Sprintf("too few lists to verify by yet: %v", meddled)
				}
				return ""
			})
			fleet.Pause(10 * time.Second) // a repair would have come by then
			remove()
			for _, rec := range r.Since(mark) {
				if !onlyOurs(rec) {
					t.Errorf("%d deletions and %d upserts were sent, and nothing has changed", len(rec.Deletes), len(rec.Upserts))
				}
			}
			r.WaitEqual(0)
		})
	}
}

// TestVerificationOfAnUnchangedClusterSendsNothing (I6).
func TestVerificationOfAnUnchangedClusterSendsNothing(t *testing.T) {
	besideWaiting(t, 170*time.Second)
	r := fleet.New(t, fleet.Options{})
	cluster(t, r, 2000)
	var replicas []*fleet.Replica
	for range 3 {
		replicas = append(replicas, r.Start(map[string]string{"VERIFY_INTERVAL_MIN": "1"}))
	}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	r.WaitEqual(time.Minute)
	waitCheckpoint(t, r, replicas[0])
	mark := r.Mark()
	fleet.Eventually(t, 4*time.Minute, func() string {
		var lists float64
		for _, p := range replicas {
			lists += p.Metric("k8s_vectordb_sync_verification_lists_total")
		}
		if types := len(replicas[0].Status().Types); int(lists) < 2*types {
			return fmt.Sprintf("%v lists of %d types", lists, types)
		}
		return ""
	})
	for _, p := range replicas {
		if n := p.Metric("k8s_vectordb_sync_verification_repairs_total"); n > 0 {
			t.Errorf("%v types were listed anew, and nothing was lost", n)
		}
	}
	for _, rec := range r.Since(mark) {
		if onlyOurs(rec) {
			continue
		}
		t.Errorf("a request with %d upserts and %d deletions, and nothing has changed", len(rec.Upserts), len(rec.Deletes))
	}
}

// TestAReplicaThatLosesEventsForMinutesIsRightAMinuteLater has three replicas, one of which loses one event in so
// many. The full measure is one in a thousand for ten minutes.
func TestAReplicaThatLosesEventsForMinutesIsRightAMinuteLater(t *testing.T) {
	beside(t, 110*time.Second)
	lossy, every := 45*time.Second, uint64(100)
	switch {
	case testing.Short():
		lossy = 30 * time.Second
	case os.Getenv("E2E_LONG") != "":
		lossy, every = 10*time.Minute, 1000
	}
	r := fleet.New(t, fleet.Options{})
	c := cluster(t, r, 2000)
	a, env := between(t, r)
	replicas := []*fleet.Replica{r.Start(env), r.Start(nil), r.Start(nil)}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	r.WaitEqual(time.Minute)
	var seen atomic.Uint64
	var mu sync.Mutex
	type object struct{ typ, namespace, name string }
	// The value tells whether the last event of an object was lost; a later event makes good for a lost one.
	last := map[object]bool{}
	remove := a.OnEvent(func(e netfault.Event) netfault.Verdict {
		if e.Initial || e.Type == watch.Bookmark || e.Request.Resource.Resource == "leases" {
			return netfault.Pass
		}
		gvr := e.Request.Resource
		drop := seen.Add(1)%every == 0
		mu.Lock()
		defer mu.Unlock()
		last[object{resource.Type{Group: gvr.Group, Version: gvr.Version, Resource: gvr.Resource}.String(), e.Namespace, e.Name}] = drop
		if drop {
			return netfault.Drop
		}
		return netfault.Pass
	})
	c.Churn(t.Context(), workload.ChurnOptions{Rate: rate(), For: lossy, Workers: 16, Seed: 3})
	remove()
	took, _ := r.WaitEqual(time.Minute)
	mu.Lock()
	defer mu.Unlock()
	lost := map[string]bool{}
	for o, dropped := range last {
		if dropped {
			lost[o.typ] = true
		}
	}
	t.Logf("%d events, types %v lost some; equal %v after the last", seen.Load(), slices.Sorted(maps.Keys(lost)), took)
	if len(lost) == 0 {
		t.Fatal("no event was lost: the test proves nothing")
	}
	// An event without consequence for the receiver is found as surely, and not sooner.
	fleet.Eventually(t, time.Minute, func() string {
		for name := range lost {
			if divergences(replicas[0], name, "") == 0 {
				return "the metric does not name " + name
			}
		}
		return ""
	})
}
