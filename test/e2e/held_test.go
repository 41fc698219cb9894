//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// TestAVerificationSaysByTypeWhatWasRepaired: two of three replicas have lost the same events, and one is asked to
// have the fleet verify.
func TestAVerificationSaysByTypeWhatWasRepaired(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{})
	l := newThreeLost(t, r)
	a, env := between(t, r)
	env["VERIFY_INTERVAL_MIN"] = "0"
	unlucky := []*fleet.Replica{r.Start(env), r.Start(env)}
	for _, p := range unlucky {
		p.WaitReady(time.Minute)
	}
	r.WaitEqual(time.Minute)
	waitCheckpoint(t, r, unlucky[0])
	l.want = 6 // three for each
	l.lose(t, a)
	mustDiffer(t, r)
	code, body := document(t, unlucky[0]).ask(t, http.MethodPost, "/api/v1/verify")
	if code != http.StatusOK {
		t.Fatalf("the verification is answered %d %s", code, body)
	}
	var v api.Verification
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	r.WaitEqual(30 * time.Second)
	if types := len(unlucky[1].Status().Types); v.Types.Done != v.Types.Total || v.Types.Total < types-5 || len(v.Verdicts) != v.Types.Total {
		t.Errorf("%d of %d types are verified and %d have a verdict, of %d that are watched", v.Types.Done, v.Types.Total, len(v.Verdicts), types)
	}
	for _, verdict := range v.Verdicts {
		want, repaired := api.VerdictEqual, []string(nil)
		if verdict.Type == "configmaps.v1" {
			want, repaired = api.VerdictRepaired, []string{unlucky[0].Name, unlucky[1].Name}
		}
		if got := slices.Sorted(slices.Values(verdict.Repaired)); verdict.Verdict != want || !slices.Equal(got, repaired) {
			t.Errorf("%s is %s by %v, want %s by %v", verdict.Type, verdict.Verdict, got, want, repaired)
		}
	}
	if code, body = document(t, unlucky[1]).ask(t, http.MethodPost, "/api/v1/verify?resource=configmaps"); code != http.StatusOK {
		t.Fatalf("the second is answered %d %s", code, body)
	}
	v = api.Verification{}
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Verdicts) != 1 || v.Verdicts[0].Verdict != api.VerdictEqual {
		t.Errorf("the second says %+v, want that ConfigMaps are equal", v.Verdicts)
	}
}

// TestResync_OneReplicaHasLostEvents_ItsStatesStayReplaced: the list of a resync is compared only with the index
// of its taker. Wrong states of another replica must not reach the receiver when that replica gets its share back.
func TestResync_OneReplicaHasLostEvents_ItsStatesStayReplaced(t *testing.T) {
	besideWaiting(t, 90*time.Second)
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
				e["VERIFY_INTERVAL_MIN"] = "0"
				replicas = append(replicas, r.Start(e))
			}
			for _, p := range replicas {
				p.WaitReady(time.Minute)
			}
			r.WaitEqual(time.Minute)
			l.lose(t, a)
			if code, body := document(t, replicas[0]).ask(t, http.MethodPost, "/api/v1/resync?resource=configmaps"); code != http.StatusOK {
				t.Fatalf("the resync is answered %d %s", code, body)
			}
			for until := time.Now().Add(20 * time.Second); time.Now().Before(until); fleet.Pause(200 * time.Millisecond) {
				if amiss := l.amiss(r.Documents()); amiss != "" {
					t.Fatal(amiss)
				}
			}
			r.WaitEqual(time.Minute)
		})
	}
}

// amiss lists the documents that differ from the cluster after events have been lost.
func (l *threeLost) amiss(docs map[resource.ID]workload.Doc) string {
	for name, want := range map[string]string{"added": "new", "modified": "new", "deleted": ""} {
		doc, there := docs[resource.ID("default/v1/ConfigMap/"+name)]
		if there != (want != "") || doc.Labels["value"] != want {
			return fmt.Sprintf("ConfigMap %s is at the receiver: %t, with %v; want value %q", name, there, doc.Labels, want)
		}
	}
	return ""
}

// TestAVerificationCostsLittle measures the processor time of one replica that lists and compares everything. In a
// fleet, all members share that work.
func TestAVerificationCostsLittle(t *testing.T) {
	longOnly(t)
	r := fleet.New(t, fleet.Options{})
	cluster(t, r, 20_000)
	p := r.Start(map[string]string{"VERIFY_INTERVAL_MIN": "0"})
	p.WaitReady(time.Minute)
	_, objects := r.WaitEqual(2 * time.Minute)
	fleet.Pause(20 * time.Second)
	took := func(f func()) time.Duration {
		before := p.CPU()
		f()
		return p.CPU() - before
	}
	const times, pause = 3, 20 * time.Second
	idle := took(func() { fleet.Pause(times * pause) })
	var busy time.Duration
	for range times {
		busy += took(func() {
			if code, body := document(t, p).ask(t, http.MethodPost, "/api/v1/verify"); code != http.StatusOK {
				t.Fatalf("the verification is answered %d %s", code, body)
			}
			fleet.Pause(pause)
		})
	}
	now, peak := p.Resident()
	// The goal is 200 ms, on a machine without other work.
	if cost := (busy - idle) / times; cost > 300*time.Millisecond {
		t.Errorf("a verification takes %v of processor time", cost)
	}
	t.Logf("%d objects: %v of processor time for a verification, %v at rest in as long; %d MiB resident, peak %d MiB", objects,
		(busy-idle)/times, idle/times, now>>20, peak>>20)
}
