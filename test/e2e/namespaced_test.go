//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/receiver"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// TestNamespacesAreEqualWithoutRightsInTheCluster has replicas with only the Roles that the chart renders for two
// namespaces. The receiver equals these namespaces through changes, a restart, a crash, a handoff, a deletion while
// no replica runs, a resync and a verification. The replicas make no request that the API server has to refuse.
func TestNamespacesAreEqualWithoutRightsInTheCluster(t *testing.T) {
	beside(t, 70*time.Second)
	two := func(ns string) bool { return ns == "team-a" || ns == "team-b" }
	r := fleet.New(t, fleet.Options{ControlPlane: controlplane.Options{AuditLog: true}, Filter: workload.Filter{Namespaces: two}})
	for _, namespace := range []string{"team-a", "team-b", "elsewhere", chartNamespace} {
		r.Kube("", "create", "namespace", namespace)
	}
	manifest := render(t, "k8s-vectordb-sync", chartNamespace, "--set", "rbac.namespaced=true,config.watchNamespaces={team-a,team-b}",
		"--show-only", "templates/rbac.yaml", "--show-only", "templates/serviceaccount.yaml")
	r.Apply(manifest)
	r.Apply(widgets("v1"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.example.com")
	for _, namespace := range []string{"team-a", "team-b", "elsewhere"} {
		var b strings.Builder
		for i := range 40 {
			fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: map-%d, namespace: %s, labels: {number: %q}}}\n", i, namespace, fmt.Sprint(i))
		}
		fmt.Fprintf(&b, "---\n{apiVersion: example.com/v1, kind: Widget, metadata: {name: widget, namespace: %s}}\n", namespace)
		r.Apply(b.String())
	}
	const account = "k8s-vectordb-sync-controller-manager"
	state := t.TempDir()
	l := &life{Rig: r, t: t, account: account, namespace: chartNamespace, env: unhurried(map[string]string{
		"WATCH_NAMESPACES": "team-a,team-b", "STATE_DIR": state,
	})}
	start := func(n int) *fleet.Replica { return l.start(fmt.Sprintf("k8s-vectordb-sync-%d", n)) }
	change := func(name string) {
		for _, namespace := range []string{"team-b", "team-a"} {
			r.Kube("", "label", "--overwrite", "configmap", "map-1", "-n", namespace, "changed="+name)
			r.Apply("{apiVersion: v1, kind: Secret, metadata: {name: " + name + ", namespace: " + namespace + "}}")
		}
		r.Kube("", "delete", "secret", name, "-n", "team-a")
	}
	replicas := []*fleet.Replica{start(0), start(1), start(2)}
	for _, p := range replicas {
		p.WaitReady(time.Minute)
	}
	agreed(t, converge, replicas...)
	r.WaitEqual(converge)
	change("first")
	r.WaitEqual(converge)

	status := replicas[0].Status()
	phases := make(map[api.TypePhase]int)
	for _, typ := range status.Types {
		phases[typ.Phase]++
		if typ.Phase == api.TypeFailing {
			t.Errorf("%s fails: %s", typ.Name, typ.Error)
		}
	}
	if phases[api.TypeUnreadable] < 10 || phases[api.TypeWatching] < 50 {
		t.Errorf("types by phase: %v", phases)
	}
	if !replicas[0].Logged("Resources of no namespace are left out") || !replicas[0].Logged("Namespace kube-system may not be read") {
		t.Error("the log does not say what cannot be read")
	}

	t.Run("a crash and a handoff", func(t *testing.T) {
		replicas[2].Kill()
		change("second")
		r.In(t).WaitEqual(time.Minute)
		replicas[2] = l.start("k8s-vectordb-sync-2")
		replicas[2].WaitReady(time.Minute)
		agreed(t, converge, replicas...)
	})

	stop := func(t *testing.T) {
		t.Helper()
		for _, p := range replicas {
			p.WaitInStep(converge)
		}
		for _, p := range replicas {
			p.Stop(grace)
		}
	}
	t.Run("a restart sends nothing again, and what was deleted meanwhile goes", func(t *testing.T) {
		stop(t)
		r.Kube("", "delete", "configmap", "map-2", "-n", "team-a")
		r.Kube("", "delete", "widget.example.com", "widget", "-n", "team-b")
		r.Kube("", "label", "configmap", "map-3", "-n", "team-b", "down=true")
		mark := r.Mark()
		for i := range replicas {
			replicas[i] = l.start(fmt.Sprintf("k8s-vectordb-sync-%d", i))
		}
		for _, p := range replicas {
			p.WaitReady(time.Minute)
		}
		r.In(t).WaitEqual(converge)
		for _, p := range replicas {
			p.WaitInStep(converge)
		}
		upserts, deletes := tally(r.Since(mark))
		if len(upserts) != 1 || upserts["team-b/v1/ConfigMap/map-3"] == 0 {
			t.Errorf("sent again: %v", upserts)
		}
		for _, id := range []resource.ID{"team-a/v1/ConfigMap/map-2", "team-b/example.com/v1/Widget/widget"} {
			if deletes[id] == 0 {
				t.Errorf("%s was not deleted: %v", id, deletes)
			}
		}
	})

	t.Run("a resync sends everything once", func(t *testing.T) {
		for query, in := range map[string]func(resource.ID) bool{
			"":                     func(resource.ID) bool { return true },
			"&namespace=team-b":    func(id resource.ID) bool { return strings.HasPrefix(string(id), "team-b/") },
			"&resource=configmaps": func(id resource.ID) bool { return strings.Contains(string(id), "/v1/ConfigMap/") },
		} {
			want := slices.DeleteFunc(slices.Sorted(maps.Keys(r.Objects())), func(id resource.ID) bool { return !in(id) })
			mark := r.Mark()
			op := followResync(t, replicas[1], askResync(t, replicas[0], query).ID)
			upserts, _ := tally(r.Since(mark))
			if extra, missing, twice := compareSent(want, upserts); len(extra)+len(missing)+len(twice) > 0 || len(op.Failed) > 0 {
				t.Errorf("resync%s of %d: not asked for %v, missing %v, twice %v; failed %v", query, len(want), extra, missing, twice, op.Failed)
			}
		}
	})

	t.Run("a verification finds no difference", func(t *testing.T) {
		code, body := l.ask(replicas[0], http.MethodPost, "/api/v1/verify", "")
		var v api.Verification
		if err := json.Unmarshal([]byte(body), &v); err != nil || code != http.StatusOK {
			t.Fatalf("answer %d, %v: %.300s", code, err, body)
		}
		for _, typ := range v.Verdicts {
			if typ.Verdict != "equal" {
				t.Errorf("%s: %s %s", typ.Type, typ.Verdict, typ.Error)
			}
		}
		if len(v.Verdicts) < 50 {
			t.Errorf("%d types are verified", len(v.Verdicts))
		}
	})

	t.Run("a right that is taken and given again", func(t *testing.T) {
		role := "k8s-vectordb-sync-manager-rolebinding"
		stop(t)
		r.Kube("", "delete", "rolebinding", role, "-n", "team-b")
		r.Kube("", "delete", "configmap", "map-4", "-n", "team-a")
		mark := r.Mark()
		replicas = replicas[:1]
		replicas[0] = l.start("k8s-vectordb-sync-0")
		replicas[0].WaitReady(time.Minute)
		fleet.Eventually(t, converge, func() string {
			if _, there := r.Documents()["team-a/v1/ConfigMap/map-4"]; there {
				return "what is gone from the namespace that may be read is still there"
			}
			return ""
		})
		if _, deletes := tally(r.Since(mark)); len(deletes) != 1 {
			t.Errorf("deleted, of which one may not be read: %v", deletes)
		}
		r.Kube("", "delete", "configmap", "map-5", "-n", "team-b")
		r.Apply(manifest)
		r.In(t).WaitEqual(time.Minute)
		upserts, _ := tally(r.Since(mark))
		// It is another object by now.
		delete(upserts, "team-b/rbac.authorization.k8s.io/v1/RoleBinding/"+resource.ID(role))
		if len(upserts) > 0 {
			t.Errorf("sent again: %v", upserts)
		}
	})

	replicas[0].Stop(grace)
	judgeDenied(t, r, account)
}

// tally counts the changes that were sent, by ID.
func tally(records []receiver.Record) (upserts, deletes map[resource.ID]int) {
	upserts, deletes = make(map[resource.ID]int), make(map[resource.ID]int)
	for _, rec := range records {
		for _, u := range rec.Upserts {
			upserts[resource.ID(u.ID)]++
		}
		for _, id := range rec.Deletes {
			deletes[resource.ID(id)]++
		}
	}
	return upserts, deletes
}

// judgeDenied demands that no request was refused.
func judgeDenied(t *testing.T, r *fleet.Rig, account string) {
	t.Helper()
	events, err := r.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	denied, all := make(map[string]int), 0
	for _, e := range events {
		if e.User != "system:serviceaccount:"+chartNamespace+":"+account {
			continue
		}
		all++
		if e.Code == http.StatusForbidden || e.Code == http.StatusUnauthorized {
			denied[e.Verb+" "+e.Group+" "+e.Resource+" in "+e.Namespace]++
		}
	}
	for what, n := range denied {
		t.Errorf("denied %d times: %s", n, what)
	}
	t.Logf("%d requests, %d kinds of them denied", all, len(denied))
}
