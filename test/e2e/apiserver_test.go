//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/netfault"
)

// TestNoFaultOfTheAPIServerLosesAnything kills the API server under churn, and has its history compacted while a
// replica is cut off. One cluster, one replica and one receiver live through both.
func TestNoFaultOfTheAPIServerLosesAnything(t *testing.T) {
	besideUnlessMeasured(t, time.Minute)
	long, objects := size()
	r := fleet.New(t, fleet.Options{})
	c := cluster(t, r, objects)
	line, err := netfault.New(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	kubeconfig, err := r.KubeconfigVia(line.Address())
	if err != nil {
		t.Fatal(err)
	}
	p := r.Start(unhurried(map[string]string{"KUBECONFIG": kubeconfig}))
	p.WaitReady(time.Minute)
	r.WaitEqual(time.Minute)
	h := newHistory()

	t.Run("killed and started again", func(t *testing.T) {
		r, p := r.In(t), p.In(t)
		var churn sync.WaitGroup
		churn.Go(func() { h.churn(t, c, long, true) })
		defer churn.Wait()
		fleet.Pause(long / 4)
		if err := r.StopAPIServer(true); err != nil {
			t.Fatal(err)
		}
		fleet.Pause(3 * time.Second)
		if err := r.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		churn.Wait()
		took, n := r.WaitEqual(2 * converge)
		t.Logf("%d objects equal %v after the churn", n, took.Round(time.Millisecond))
		h.check(t, r, p)
	})

	t.Run("history compacted while the replica was cut off", func(t *testing.T) {
		r, p := r.In(t), p.In(t)
		maps := kubernetes.NewForConfigOrDie(r.RESTConfig()).CoreV1().ConfigMaps("default")
		known, err := maps.List(t.Context(), metav1.ListOptions{Limit: 1})
		if err != nil {
			t.Fatal(err)
		}
		line.Reset()
		h.churn(t, c, 10*time.Second, false)
		if _, err := r.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.StopAPIServer(true); err != nil {
			t.Fatal(err)
		}
		if err := r.StartAPIServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := len(r.Diff().Stale)
		line.Mend()
		took, n := r.WaitEqual(2 * converge)
		t.Logf("%d objects equal, and %d deletions found, %v after the replica was let back", n, before, took.Round(time.Millisecond))
		if before == 0 {
			t.Error("nothing was deleted behind the replica's back")
		}
		exact := metav1.ListOptions{ResourceVersion: known.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact}
		if _, err := maps.List(t.Context(), exact); !apierrors.IsResourceExpired(err) {
			t.Errorf("asked for what the replica knew, the API server answers %v, want that its history is gone", err)
		}
		h.check(t, r, p)
	})
}

// TestTypeThatMayNotBeReadHarmsNobody is the story of a right that is missing, granted and taken away again.
func TestTypeThatMayNotBeReadHarmsNobody(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "create", "secret", "generic", "kept", "--from-literal=a=b")
	r.Kube("", "create", "configmap", "beside")
	r.Apply(allBut(t, r, "secrets"))
	kubeconfig, via := userVia(t, r, "reader")
	p := r.Start(map[string]string{"KUBECONFIG": kubeconfig})
	p.WaitReady(time.Minute)
	secret := resource.ID("default/v1/Secret/kept")
	r.WaitEqual(converge, secret)
	if _, there := r.Documents()[secret]; there {
		t.Fatal("a secret arrived that the replica may not read")
	}
	fleet.Eventually(t, converge, func() string { return failing(p, "secrets.v1") })

	r.Apply(`
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: secrets}, rules: [{apiGroups: [""], resources: [secrets], verbs: [get, list, watch]}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: secrets}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: secrets}, subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]}
`)
	took, _ := r.WaitEqual(2 * time.Minute)
	t.Logf("the secrets arrived %v after the right was granted", took.Round(time.Millisecond))

	mark := r.Mark()
	r.Kube("", "delete", "clusterrolebinding", "secrets")
	via.Reset() // the API server does not check an open watch again
	via.Mend()
	fleet.Eventually(t, time.Minute, func() string { return failing(p, "secrets.v1") })
	r.Kube("", "label", "configmap", "beside", "still=alive")
	r.WaitEqual(converge)
	if _, there := r.Documents()[secret]; !there {
		t.Error("the secret was deleted because it may not be read any more")
	}
	for _, rec := range r.Since(mark) {
		for _, id := range rec.Deletes {
			if !strings.Contains(id, "/ClusterRoleBinding/") {
				t.Errorf("%s was deleted because a right is missing", id)
			}
		}
	}
}

// failing says what is missing if a replica does not report that it cannot read a type.
func failing(p *fleet.Replica, name string) string {
	for _, typ := range p.Status().Types {
		if typ.Name == name {
			if typ.Phase == "failing" && strings.Contains(typ.Error, "forbidden") {
				return ""
			}
			return fmt.Sprintf("%s is %s: %q", name, typ.Phase, typ.Error)
		}
	}
	return name + " is not in the status"
}

// allBut lets the user named reader read every type but one, and write the objects of a member of a ring.
func allBut(t *testing.T, r *fleet.Rig, except string) string {
	t.Helper()
	var rules strings.Builder
	for name := range strings.FieldsSeq(r.Kube("", "api-resources", "--verbs=list,watch", "-o", "name")) {
		if name == except {
			continue
		}
		plural, group, _ := strings.Cut(name, ".")
		fmt.Fprintf(&rules, "- {apiGroups: [%q], resources: [%s], verbs: [get, list, watch]}\n", group, plural)
	}
	return `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules:
` + rules.String() + `
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: member, namespace: default}
rules:
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, watch, create, update, delete]}
- {apiGroups: [""], resources: [configmaps], verbs: [get, list, watch, create, update, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: member, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: member}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: reader}]
`
}

// userVia returns a kubeconfig file of a user without rights of its own, through a line that can be cut.
func userVia(t *testing.T, r *fleet.Rig, user string) (kubeconfig string, via *netfault.Proxy) {
	t.Helper()
	via, err := netfault.New(r.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = via.Close() })
	direct, err := r.KubeconfigFor(user)
	if err != nil {
		t.Fatal(err)
	}
	return rewrite(t, direct, r.Address(), via.Address()), via
}
