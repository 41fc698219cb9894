//go:build cluster

package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestPodDeletedByForce is kubectl delete pod --force --grace-period=0 while the cluster changes.
func TestPodDeletedByForce(t *testing.T) {
	l := loaded(t)
	r := install(t, readme(t)+quick)
	r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
	waitCheckpoints(t)
	mark := r.mark()
	l.forget()
	l.during(t, false, func() {
		for _, i := range []int{1, 0} {
			pod := fmt.Sprintf("%s-%d", name, i)
			before := kubectl(t, "get pod "+pod+" -o jsonpath={.metadata.uid}")
			kubectl(t, "delete pod "+pod+" --force --grace-period=0")
			eventually(t, arrive, "kubectl -n "+namespace+" get pod "+pod+" -o jsonpath={.metadata.uid}", func(uid string) bool { return uid != "" && uid != before })
			waitReady(t, 3)
			waitRing(t, 3)
		}
	})
	l.checkAfterCrash(r, mark, r.waitEqual(converge))
	waitWell(t, converge, 3)
}

// waitCheckpoints waits until every replica has written its deliveries into a checkpoint, which it does every ten
// seconds. If a replica dies before that, its last deliveries are unknown to the others, and are sent again.
func waitCheckpoints(t *testing.T) {
	t.Helper()
	const versions = "kubectl -n " + namespace + ` get configmaps -l vectordb-sync.io/target=default -o 'jsonpath={range .items[*]}{.metadata.name}={.metadata.resourceVersion}{"\n"}{end}'`
	before := make(map[string]bool)
	for line := range strings.FieldsSeq(sh(t, versions)) {
		before[line] = true
	}
	eventually(t, arrive, versions, func(out string) bool {
		written := 0
		for line := range strings.FieldsSeq(out) {
			if !before[line] {
				written++
			}
		}
		return written == 3
	})
}

// TestNodeStoppedAndBack freezes a node, kubelet, containers and all, and lets it go on as if nothing had happened.
func TestNodeStoppedAndBack(t *testing.T) {
	away(t, "freeze", "thaw")
}

// TestNodeCutOffAndBack takes a node's network away while its processes go on, and gives it back.
func TestNodeCutOffAndBack(t *testing.T) {
	away(t, "cut", "join")
}

// away takes a node with a replica away for long enough that the others take its share, and gives it back. One alert
// reports it.
func away(t *testing.T, take, give string) {
	l := loaded(t)
	r := install(t, readme(t)+quick)
	r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
	waitCheckpoints(t)
	alarm := watchAlerts(t)
	pod, node := awayFrom(t, r.node())
	mark := r.mark()
	l.forget()
	given := false
	t.Cleanup(func() {
		if !given {
			ctl(t, give, node)
		}
	})
	t.Logf("%s on %s", pod, node)

	l.during(t, false, func() {
		ctl(t, take, node)
		nodeReady(t, node, "NotReady")
		// kubectl get pods still shows 1/1, the kubelet's last report; the StatefulSet knows better.
		eventually(t, converge, "kubectl -n "+namespace+" get statefulset "+name, func(out string) bool { return strings.Contains(out, "2/3") })
	})
	// The others have taken its share: without it, the receiver becomes equal.
	r.waitEqual(converge)
	if out, err := try(t, "kubectl vectordb-sync status"); err == nil || !strings.Contains(out, pod) {
		t.Errorf("the plugin takes no notice of %s being away: %v\n%s", pod, err, out)
	}

	l.during(t, false, func() {
		ctl(t, give, node)
		given = true
		nodeReady(t, node, "Ready")
		waitReady(t, 3)
		waitRing(t, 3)
	})
	l.checkAfterCrash(r, mark, r.waitEqual(converge))
	waitWell(t, converge, 3)
	alarm.expect(t, "K8sVectorDBSyncReplicaDead")
	if events := kubectl(t, "get events --field-selector reason=NodeNotReady --no-headers"); !strings.Contains(events, pod) {
		t.Errorf("no event says that the node of %s was not ready:\n%s", pod, events)
	}
}

// TestAPIServerRestarted kills the API server, twice, while the cluster changes.
func TestAPIServerRestarted(t *testing.T) {
	l := loaded(t)
	r := install(t, readme(t)+quick)
	r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
	mark := r.mark()
	l.during(t, true, func() {
		for range 2 {
			ctl(t, "restart-apiserver")
			waitReady(t, 3)
			waitRing(t, 3)
		}
	})
	l.check(r, mark, r.waitEqual(converge))
	waitWell(t, converge, 3)
	if n := restarts(t); len(n) > 0 {
		t.Errorf("replicas were restarted because the API server was: %v", n)
	}
}

// TestReceiverMovedToAnotherNode drains the receiver's node. This receiver keeps its documents in its pod, so it
// comes back empty. The controller cannot know that, and a user has resyncs for it.
func TestReceiverMovedToAnotherNode(t *testing.T) {
	loaded(t)
	r := install(t, readme(t)+quick)
	objects := r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
	node := r.node()
	t.Cleanup(func() { sh(t, "kubectl uncordon "+node) })
	sh(t, "kubectl cordon "+node)
	kubectl(t, "delete pod -l app=cluster-whisperer")
	r.find()
	if now := r.node(); now == node {
		t.Fatalf("the receiver is still on %s", node)
	}
	if diff, _ := r.diff(); len(diff.Missing) < objects/2 {
		t.Fatalf("the receiver has not come back empty:\n%s", diff)
	}
	out := sh(t, "kubectl vectordb-sync resync")
	t.Logf("%s", out)
	r.waitEqual(converge)
	waitWell(t, converge, 3)
}
