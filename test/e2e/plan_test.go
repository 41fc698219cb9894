//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plan"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/wire"
)

// planned runs --plan with settings.
func planned(ctx context.Context, t *testing.T, r *fleet.Rig, env map[string]string, args ...string) plan.Report {
	t.Helper()
	var report plan.Report
	out := r.Ask(ctx, env, append([]string{"--plan", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v in %.500s", err, out)
	}
	if len(report.Receivers) == 0 {
		t.Fatalf("no receiver is planned for: %s", out)
	}
	return report
}

// TestAPlanSaysWhatAFirstSyncSends plans with settings that leave something out in every way, and then with
// none of them, and starts a replica with the same: the receiver gets as many upserts and bytes of each type
// as the plan has said. Before that, the audit log has seen nothing but reading, and each type listed once
// for each plan.
func TestAPlanSaysWhatAFirstSyncSends(t *testing.T) {
	t.Parallel() // it mostly waits
	r := fleet.New(t, fleet.Options{ControlPlane: controlplane.Options{AuditLog: true}})
	r.Apply(selectionObjects)
	r.Kube("", "create", "namespace", "shop")
	r.Kube("", "create", "configmap", "cart", "-n", "shop")
	uid := strings.TrimSpace(r.Kube("", "get", "deployment", "web", "-o", "jsonpath={.metadata.uid}"))
	r.Apply(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: default, labels: {team: shop},
ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: ` + uid + `, controller: true}]},
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}}}`)

	everything := map[string]string{"OPT_OUT_ANNOTATION": ""}
	narrow := map[string]string{
		"WATCH_RESOURCE_TYPES": "cm,deploy,rs,namespaces", "EXCLUDE_NAMESPACES": "kube-system", "WATCH_LABEL_SELECTOR": "team in (shop)",
		"SKIP_CONTROLLED": "true", "EXTRA_LABELS": "cluster=prod-eu", "ENDPOINT_FORMAT": "dot-ai",
	}
	all, some := planned(t.Context(), t, r, everything, "--plan-watch=0"), planned(t.Context(), t, r, narrow, "--plan-watch=0")
	onlyRead(t, r, 2)

	one := some.Receivers[0]
	left := make(map[string]int)
	for _, l := range one.LeftOut {
		left[l.Reason] = l.Objects
	}
	if left["optOut"] != 1 || left["controlled"] != 1 || left["labelSelector"] == 0 || left["namespace"] == 0 {
		t.Errorf("left out are %v, want one that has opted out, one that is controlled, and some by selector and namespace", left)
	}
	if one.Objects != 2 || len(some.LeftOutTypes) < 20 || some.WatchedSeconds != 0 {
		t.Errorf("planned are %d objects, want the ConfigMap and the Deployment of the team: %+v", one.Objects, one)
	}
	narrow["RING_NAME"] = "narrow"
	meets(t, r.Speaking(fleet.DotAI), narrow, some)
	meets(t, r, everything, all)
}

// onlyRead checks that plans have written nothing, and listed each type once.
func onlyRead(t *testing.T, r *fleet.Rig, plans int) {
	t.Helper()
	events, err := r.AuditEvents()
	if err != nil {
		t.Fatal(err)
	}
	lists := make(map[string]int)
	for _, e := range events {
		if !strings.HasPrefix(e.UserAgent, "k8s-vectordb-sync/") {
			continue
		}
		if e.Verb != "get" && e.Verb != "list" && e.Verb != "watch" {
			t.Errorf("a plan asks to %s %s", e.Verb, e.URI)
		}
		if e.Verb == "list" && !strings.Contains(e.URI, "continue=") {
			lists[e.Group+"/"+e.Resource]++
		}
	}
	if len(lists) < 20 {
		t.Errorf("%d types were listed", len(lists))
	}
	for resource, n := range lists {
		if n > plans {
			t.Errorf("%s was listed %d times by %d plans", resource, n, plans)
		}
	}
}

// meets starts a replica, and compares what the receiver gets until it is in step with what was planned. What
// replicas write themselves was not there yet.
func meets(t *testing.T, r *fleet.Rig, env map[string]string, report plan.Report) {
	t.Helper()
	mark := r.Mark()
	p := r.Start(env)
	p.WaitReady(time.Minute)
	p.WaitInStep(time.Minute)
	format, err := wire.FormatOf(report.Receivers[0].Format)
	if err != nil {
		t.Fatal(err)
	}
	got, want := make(map[string]int), make(map[string]int)
	bytes, own := int64(0), 0
	for _, rec := range r.Since(mark) {
		if len(rec.Upserts) == 0 {
			continue
		}
		bytes += rec.Bytes - int64(format.Overhead())
		for _, u := range rec.Upserts {
			kind, name := kindAndName(u.ID)
			if kind == "ConfigMap" && (strings.HasPrefix(name, "k8s-vectordb-sync-") || strings.HasPrefix(name, "narrow-")) {
				own++
				continue
			}
			got[kind]++
		}
	}
	for _, x := range report.Receivers[0].Types {
		if x.Objects > 0 {
			want[x.Kind] += x.Objects
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("sent by kind: %v\nplanned:      %v", got, want)
	}
	if own == 0 && bytes != report.Receivers[0].Bytes {
		t.Errorf("%d bytes of objects were sent, and %d planned", bytes, report.Receivers[0].Bytes)
	}
	if code := p.Stop(time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// kindAndName reads the ID of a document of either receiver: namespace/apiVersion/Kind/name, or
// namespace:apiVersion:Kind:name.
func kindAndName(id string) (kind, name string) {
	if p, err := resource.ParseID(id); err == nil {
		return p.Kind, p.Name
	}
	parts := strings.SplitN(id, ":", 4)
	return parts[2], parts[3]
}

// TestAPlanNamesWhatIsRestless relabels an object while the plan watches: it is named with its label, and so
// is what a node's clock would cost if its label were not left out.
func TestAPlanNamesWhatIsRestless(t *testing.T) {
	t.Parallel() // it mostly waits
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "create", "configmap", "restless")
	r.Apply(`{apiVersion: v1, kind: Node, metadata: {name: gpu-1, labels: {nvidia.com/gfd.timestamp: "1609384711"}}}`)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // Ends with ctx.
		defer close(done)
		configMaps := client(t, r).Resource(configMaps).Namespace("default")
		for i := 0; ctx.Err() == nil; i++ {
			tick := fmt.Appendf(nil, `{"metadata":{"labels":{"tick":"%d","nvidia.com/gfd.timestamp":"%d"}}}`, i, i)
			_, _ = configMaps.Patch(ctx, "restless", types.MergePatchType, tick, metav1.PatchOptions{})
			_, _ = client(t, r).Resource(nodes).Patch(ctx, "gpu-1", types.MergePatchType,
				fmt.Appendf(nil, `{"metadata":{"labels":{"nvidia.com/gfd.timestamp":"%d"}}}`, i), metav1.PatchOptions{})
		}
	}()
	report := planned(ctx, t, r, map[string]string{"DEBOUNCE_WINDOW_MS": "0"}, "--plan-watch=3s")
	cancel()
	<-done
	worst := report.Receivers[0].Restless
	if len(worst) != 1 || worst[0].ID != "default/v1/ConfigMap/restless" || !slices.Equal(worst[0].Causes, []string{"label tick"}) {
		t.Fatalf("restless are %+v, want the ConfigMap alone, for its label tick", worst)
	}
	if worst[0].Embeddings == 0 || worst[0].EmbeddingsPerDay < 10_000 || report.Receivers[0].PerDay.Embeddings != worst[0].EmbeddingsPerDay {
		t.Errorf("it would cost %+v, in all %+v", worst[0], report.Receivers[0].PerDay)
	}
}
