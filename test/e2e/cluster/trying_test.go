//go:build cluster

package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// toTry installs the controller with the reference receiver beside it, from the images of this build.
const toTry = "helm install " + name + " " + chart + " --namespace " + namespace + " --create-namespace --set receiver.enabled=true" +
	" --set receiver.image.repository=k8s-vectordb-sync.test/receiver --set receiver.image.tag=one"

// TestInstall_ClusterAndNothingElse_FirstAnswerWithinTwoMinutes is a user with a cluster and nothing else: one
// helm install, one question.
func TestInstall_ClusterAndNothingElse_FirstAnswerWithinTwoMinutes(t *testing.T) {
	clean(t)
	t.Cleanup(func() {
		if t.Failed() {
			explain(t)
		}
		clean(t)
	})
	began := time.Now()
	out := sh(t, toTry+image("one")+" --set networkPolicy.enabled=true --set metrics.serviceMonitor.enabled=false")
	if !strings.Contains(out, "kubectl vectordb-sync search") || !strings.Contains(out, "It is no vector database") {
		t.Errorf("helm install says\n%s", out)
	}
	answer := eventually(t, 2*time.Minute, `kubectl vectordb-sync search "cluster dns"`, func(out string) bool { return strings.Contains(out, "kube-dns") })
	if took := time.Since(began); took > 2*time.Minute {
		t.Errorf("the first answer came after %v", took)
	} else {
		t.Logf("the first answer came %v after helm install began:\n%s", took.Round(100*time.Millisecond), answer)
	}
	if out := sh(t, "helm test "+name+" -n "+namespace); !strings.Contains(out, "Phase:          Succeeded") && !strings.Contains(out, "Phase: Succeeded") {
		t.Errorf("helm test says\n%s", out)
	}
	// The receiver has no rights: it has no token, and it is not root.
	pod := "-l app.kubernetes.io/component=receiver"
	if volumes := kubectl(t, "get pods "+pod+" -o jsonpath={.items[*].spec.volumes[*].name}"); strings.TrimSpace(volumes) != "data" {
		t.Errorf("the receiver has the volumes %s", volumes)
	}
	if waiting := kubectl(t, "get pods "+pod+" -o jsonpath={.items[*].status.containerStatuses[*].ready}"); waiting != "true" {
		t.Errorf("the receiver is ready: %s", waiting)
	}
}

// TestSomeNamespacesAreEqualWithoutRightsInTheCluster is an installation by a user who may create Roles in two
// namespaces and no ClusterRole. The receiver equals these namespaces, and holds nothing else.
func TestSomeNamespacesAreEqualWithoutRightsInTheCluster(t *testing.T) {
	loaded(t)
	all := strings.Fields(sh(t, "kubectl get namespaces -o jsonpath={.items[*].metadata.name}"))
	var two []string
	for _, ns := range all {
		if strings.Contains(ns, "-") && !strings.HasPrefix(ns, "kube-") && ns != namespace && len(two) < 2 {
			two = append(two, ns)
		}
	}
	r := install(t, readme(t)+quick+fmt.Sprintf(" --set rbac.namespaced=true --set 'config.watchNamespaces={%s}'", strings.Join(two, ",")))
	if out := sh(t, "kubectl get clusterroles,clusterrolebindings -l app.kubernetes.io/instance="+name+" -o name"); out != "" {
		t.Errorf("there are\n%s", out)
	}
	in := func(ns string) bool { return ns == two[0] || ns == two[1] }
	equal := func() string {
		want, err := workload.List(t.Context(), config, workload.Filter{Namespaces: in})
		if err != nil {
			t.Fatal(err)
		}
		if diff := workload.Compare(want, r.documents()); !diff.Empty() {
			return fmt.Sprintf("the receiver does not equal %v, %d objects:\n%s", two, len(want), diff)
		}
		return ""
	}
	fleet.Eventually(t, converge, equal)
	apply(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: later, namespace: "+two[0]+"}}")
	t.Cleanup(func() { sh(t, "kubectl delete configmap later --ignore-not-found -n "+two[0]) })
	fleet.Eventually(t, converge, func() string {
		if _, has := r.documents()[resource.ID(two[0]+"/v1/ConfigMap/later")]; !has {
			return "what was created later is not there"
		}
		return equal()
	})
}
