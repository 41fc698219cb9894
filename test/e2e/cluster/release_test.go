//go:build cluster

package cluster

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	// arrive is how long pods may take to become ready, converge how long the receiver may differ after the last fault.
	arrive   = 3 * time.Minute
	converge = 2 * time.Minute
	// rate is how many changes there are each second.
	rate = 200
)

// quick are values with which a change arrives soon; the subject of a story is never one of them.
const quick = " --set config.debounceWindowMs=500 --set config.batchFlushIntervalMs=500 --set config.settleTimeMs=5000"

// readme is the README's command to install, with the image of this build.
func readme(t testing.TB) string {
	t.Helper()
	return block(t, root+"/README.md", "helm install") + image("one")
}

func image(tag string) string {
	return " --set image.repository=" + repository + " --set image.tag=" + tag
}

// install runs a command that installs the release, puts the receiver of its URL beside it, and waits until both are
// ready. The release is removed with its namespace at the end of the test.
func install(t *testing.T, command string) *receiverPod {
	t.Helper()
	clean(t)
	t.Cleanup(func() {
		if t.Failed() {
			explain(t)
		}
		clean(t)
	})
	out := sh(t, command)
	if !strings.Contains(out, "STATUS: deployed") {
		t.Errorf("helm install says\n%s", out)
	}
	r := deployReceiver(t)
	waitReady(t, replicas(t))
	return r
}

// replicas returns how many replicas the StatefulSet wants.
func replicas(t testing.TB) int {
	t.Helper()
	var n int
	if _, err := fmt.Sscan(kubectl(t, "get statefulset "+name+" -o jsonpath={.spec.replicas}"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// clean removes the release and its namespace, if they exist.
func clean(t testing.TB) {
	t.Helper()
	sh(t, fmt.Sprintf(`helm uninstall %s --namespace %s --ignore-not-found --wait --timeout 90s >/dev/null || true
kubectl delete namespace %s --ignore-not-found --timeout=120s`, name, namespace, namespace))
}

// explain prints the state that a developer looks at when a story has failed.
func explain(t testing.TB) {
	t.Helper()
	out, _ := try(t, fmt.Sprintf(`exec 2>&1; set +e; kubectl get nodes; kubectl -n %[1]s get pods,statefulsets,leases,configmaps -o wide
kubectl -n %[1]s get events --sort-by=.lastTimestamp | tail -n 30
for pod in $(kubectl -n %[1]s get pods -o name); do echo "--- $pod"; kubectl -n %[1]s logs $pod --tail=40 | cut -c1-400; done
kubectl vectordb-sync status`, namespace))
	t.Log(out)
}

// row is one line of kubectl get pods.
var row = regexp.MustCompile(`(?m)^(\S+)\s+(\d+/\d+)\s+(\S+)\s+(\d+)`)

// waitReady waits until kubectl get pods, as in the README, shows so many replicas, all of them running and ready.
func waitReady(t testing.TB, want int) {
	t.Helper()
	began := time.Now()
	eventually(t, arrive, block(t, root+"/README.md", "kubectl get pods"), func(out string) bool {
		ready, all := 0, 0
		for _, m := range row.FindAllStringSubmatch(out, -1) {
			if strings.HasPrefix(m[1], name+"-") {
				all++
				if m[2] == "1/1" && m[3] == "Running" {
					ready++
				}
			}
		}
		return ready == want && all == want
	})
	t.Logf("%d replicas are ready after %v", want, time.Since(began).Round(100*time.Millisecond))
}

// restarts returns how often the containers of the replicas were started again.
func restarts(t testing.TB) map[string]string {
	t.Helper()
	counts := make(map[string]string)
	for _, m := range row.FindAllStringSubmatch(kubectl(t, "get pods"), -1) {
		if strings.HasPrefix(m[1], name+"-") && m[4] != "0" {
			counts[m[1]] = m[4]
		}
	}
	return counts
}

// nodeOf returns the node on which a pod is.
func nodeOf(t testing.TB, pod string) string {
	t.Helper()
	return kubectl(t, "get pod "+pod+" -o jsonpath={.spec.nodeName}")
}

// waitWell waits until the plugin says that all is well, and that so many members share the work.
func waitWell(t testing.TB, within time.Duration, members int) {
	t.Helper()
	eventually(t, within, "kubectl vectordb-sync status", func(out string) bool { return strings.Contains(out, "All is well") })
	eventually(t, within, "kubectl vectordb-sync ring", func(out string) bool {
		return strings.Contains(out, fmt.Sprintf("%d members", members)) || members == 1 && strings.Contains(out, "1 member")
	})
}

// awayFrom returns a replica that is on none of these nodes.
func awayFrom(t testing.TB, nodes ...string) (pod, node string) {
	t.Helper()
	for i := range replicas(t) {
		pod = fmt.Sprintf("%s-%d", name, i)
		node = nodeOf(t, pod)
		free := true
		for _, n := range nodes {
			free = free && n != node
		}
		if free {
			return pod, node
		}
	}
	t.Fatalf("every replica is on one of %v", nodes)
	return "", ""
}

// nodeReady waits until kubectl get nodes shows a state of a node: Ready or NotReady.
func nodeReady(t testing.TB, node, state string) {
	t.Helper()
	began := time.Now()
	eventually(t, 2*time.Minute, "kubectl get node --no-headers "+node, func(out string) bool {
		fields := strings.Fields(out)
		return len(fields) > 1 && fields[1] == state
	})
	t.Logf("%s is %s after %v", node, state, time.Since(began).Round(time.Second))
}
