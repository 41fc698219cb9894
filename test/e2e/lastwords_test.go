//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestDeletionsThatWaitOutliveAllReplicas has an object that is created and delivered, and deleted while the
// receiver is in trouble. All replicas that have seen it leave, and the API server starts anew and remembers
// nothing. The receiver has never answered for an earlier change of an object of that type. So no checkpoint reaches
// a version at which the deleted object existed, and only the last checkpoints of the replicas name it.
func TestDeletionsThatWaitOutliveAllReplicas(t *testing.T) {
	beside(t, 20*time.Second)
	r := fleet.New(t, fleet.Options{})
	leases := r.FollowLeases()
	env := map[string]string{"SHUTDOWN_TIMEOUT_MS": "2000", "REQUEST_TIMEOUT_MS": "60000", "MAX_IN_FLIGHT": "8"}
	replicas := []*fleet.Replica{r.Start(env), r.Start(env)}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, converge, replicas...)
	r.WaitEqual(converge)

	unanswered := receiver.Rule{Name: "unanswered", Match: receiver.Match{ID: "*/early", Array: "upserts"}, Effect: receiver.Effect{Hang: receiver.Forever}}
	r.SetFaults(unanswered)
	r.Kube("", "create", "configmap", "early")
	fleet.Eventually(t, converge, func() string {
		if r.Receiver().Stats().InFlight == 0 {
			return "the first object is not on its way"
		}
		return ""
	})
	r.Kube("", "create", "configmap", "brief")
	brief := resource.ID("default/v1/ConfigMap/brief")
	fleet.Eventually(t, converge, func() string {
		if _, there := r.Documents()[brief]; !there {
			return "the second object is not delivered"
		}
		return ""
	})
	r.SetFaults(unanswered, receiver.Rule{Name: "busy", Match: receiver.Match{Array: "deletes"}, Effect: receiver.Effect{Status: http.StatusServiceUnavailable}})
	r.Kube("", "delete", "configmap", "brief")
	fleet.Eventually(t, converge, func() string {
		if !slices.ContainsFunc(r.Requests(), func(q receiver.Record) bool {
			return q.Status == http.StatusServiceUnavailable && slices.Contains(q.Deletes, string(brief))
		}) {
			return "the deletion has not been refused"
		}
		return ""
	})

	for _, p := range replicas {
		if code := p.Stop(grace); code != 0 {
			t.Errorf("%s ended with %d", p.Name, code)
		}
	}
	// A receiver that does not answer keeps no member from giving up its share.
	states := map[string]string{}
	fleet.Eventually(t, converge, func() string {
		for _, v := range leases.Versions(t) {
			states[v.Member] = v.State
		}
		if states[replicas[0].Name] != "released" || states[replicas[1].Name] != "released" {
			return fmt.Sprintf("the Leases are %v, want released", states)
		}
		return ""
	})
	if err := r.StopAPIServer(true); err != nil {
		t.Fatal(err)
	}
	if err := r.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Receiver().ClearFaults()
	mark := r.Mark()
	p := r.Start(env)
	p.WaitReady(time.Minute)
	took, n := r.WaitEqual(converge)
	t.Logf("%d objects equal %v after another replica was ready", n, took.Round(time.Millisecond))

	// Once is enough, also for members that come later.
	last := r.Start(env)
	last.WaitReady(time.Minute)
	agreed(t, converge, p, last)
	last.WaitInStep(converge)
	var told []string
	for _, q := range r.Since(mark) {
		if slices.Contains(q.Deletes, string(brief)) {
			told = append(told, fmt.Sprintf("%s %s: %d", q.Begin.Format("15:04:05.000"), q.Sender, q.Status))
		}
	}
	if len(told) != 1 {
		t.Errorf("the deletion was sent %d times, want once:\n%s", len(told), strings.Join(told, "\n"))
	}
}
