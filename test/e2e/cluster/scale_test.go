//go:build cluster

package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestScaledUnderLoad is kubectl scale from 3 to 5, 1 and 3 replicas while the cluster changes. No alert fires.
func TestScaledUnderLoad(t *testing.T) {
	l := loaded(t)
	r := install(t, readme(t)+quick)
	r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
	alarm := watchAlerts(t)
	mark := r.mark()
	l.during(t, false, func() {
		for _, n := range []int{5, 1, 3} {
			kubectl(t, fmt.Sprintf("scale statefulset/%s --replicas=%d", name, n))
			waitReady(t, n)
			waitRing(t, n)
		}
	})
	objects := r.waitEqual(converge)
	l.check(r, mark, objects)
	waitWell(t, converge, 3)
	alarm.expect(t)
	if out := kubectl(t, "get statefulset "+name); !strings.Contains(out, "3/3") {
		t.Errorf("kubectl get statefulset says\n%s", out)
	}
	if n := restarts(t); len(n) > 0 {
		t.Errorf("containers were restarted: %v", n)
	}
}

// waitRing waits until so many members share the work, even if their work is not done.
func waitRing(t *testing.T, members int) {
	t.Helper()
	began := time.Now()
	eventually(t, converge, "kubectl vectordb-sync ring", func(out string) bool {
		return strings.Contains(out, fmt.Sprintf("%d member", members)) && strings.Contains(out, "agreed")
	})
	t.Logf("%d members share the work after another %v", members, time.Since(began).Round(100*time.Millisecond))
}

// TestUpgradedUnderLoad is a helm upgrade from the previous chart to this one, with another image and another
// value, while the cluster changes. No alert fires.
func TestUpgradedUnderLoad(t *testing.T) {
	l := loaded(t)
	previous := t.TempDir() + "/previous"
	sh(t, fmt.Sprintf(`cp -r %s %s
sed -i 's/^version: .*/version: 0.0.1-previous/' %[2]s/Chart.yaml
helm package %[2]s --destination %[2]s >/dev/null`, chart, previous))
	archive := previous + "/k8s-vectordb-sync-0.0.1-previous.tgz"
	r := install(t, strings.Replace(readme(t), chart, archive, 1)+quick)
	r.waitEqual(2 * time.Minute)
	waitWell(t, converge, 3)
	if out := sh(t, "helm list -n "+namespace); !strings.Contains(out, "k8s-vectordb-sync-0.0.1-previous") {
		t.Errorf("helm list says\n%s", out)
	}
	alarm := watchAlerts(t)
	mark := r.mark()
	l.during(t, false, func() {
		began := time.Now()
		sh(t, "helm upgrade "+name+" "+chart+" -n "+namespace+" --reset-then-reuse-values --set config.batchMaxSize=40"+image("two"))
		kubectl(t, "rollout status statefulset/"+name+" --timeout=180s")
		t.Logf("the rollout took %v", time.Since(began).Round(100*time.Millisecond))
		waitRing(t, 3)
	})
	objects := r.waitEqual(converge)
	l.check(r, mark, objects)
	waitWell(t, converge, 3)
	alarm.expect(t)
	out := sh(t, "helm status "+name+" -n "+namespace+"; helm history "+name+" -n "+namespace+"; kubectl vectordb-sync version")
	for _, want := range []string{"STATUS: deployed", "REVISION: 2", "superseded", "k8s-vectordb-sync-0.0.1-previous", "two"} {
		if !strings.Contains(out, want) {
			t.Errorf("after the upgrade %q is missing in\n%s", want, out)
		}
	}
	images := kubectl(t, `get pods -l app.kubernetes.io/name=`+name+` -o 'jsonpath={range .items[*]}{.spec.containers[0].image}{"\n"}{end}'`)
	if strings.Count(images, repository+":two\n") != 3 {
		t.Errorf("the replicas run\n%s", images)
	}
	for _, rec := range r.since(mark)[max(0, len(r.since(mark))-20):] {
		if len(rec.Upserts) > 40 {
			t.Errorf("a payload of %d upserts after config.batchMaxSize=40", len(rec.Upserts))
		}
	}
}
