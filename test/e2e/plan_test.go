//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plan"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/wire"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
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

// TestAPlanSaysWhatAFirstSyncSends plans with settings that leave objects out in every way, and then with none of
// them. It starts a replica with the same settings: the receiver gets as many upserts and bytes of each type as the
// plan has said. Before that, the audit log has only requests that read, and one list of each type for each plan.
func TestAPlanSaysWhatAFirstSyncSends(t *testing.T) {
	beside(t, 20*time.Second)
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

// meets starts a replica, and compares the receiver's requests until it is in step with the plan. The plan has none
// of the replicas' own objects.
func meets(t *testing.T, r *fleet.Rig, env map[string]string, report plan.Report) {
	t.Helper()
	mark := r.Mark()
	p := r.Start(env)
	p.WaitReady(time.Minute)
	fleet.Eventually(t, time.Minute, func() string {
		if s := p.Status(); len(s.Targets) == 0 || s.Targets[0].Upserts < uint64(report.Receivers[0].Objects) {
			return "no receiver has what was planned for it"
		}
		return ""
	})
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

// TestAPlanNamesWhatIsRestless relabels an object while the plan watches. The plan names the object with its label,
// and also the cost of a node's clock if its label were not left out.
func TestAPlanNamesWhatIsRestless(t *testing.T) {
	beside(t, 10*time.Second)
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

// declaredNarrow is a receiver that should have less than the process keeps.
const declaredNarrow = `
apiVersion: dot-ai.devopstoolkit.live/v1alpha1
kind: ResourceSyncConfig
metadata: {name: narrow, namespace: dot-ai}
spec:
  mcpEndpoint: %s
  mcpAuthSecretRef: {name: mcp-credentials, key: api-key}
  debounceWindowSeconds: 1
  watchResourceTypes: [configmaps, deploy, rs]
  excludeNamespaces: [kube-system]
  watchLabelSelector: team
  skipControlled: true
  extraLabels: {cluster: prod-eu}
  labelExclude: ["a*"]
`

// TestAPlanOfManifestsIsWhatIsSentWhenTheyAreApplied plans with the plugin, by the chart's manifest and a
// ResourceSyncConfig that is in no cluster yet, and then applies both.
func TestAPlanOfManifestsIsWhatIsSentWhenTheyAreApplied(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	k := newKubectl(t, r)
	r.Kube("", "apply", "--server-side", "-f", filepath.Join("..", "..", "config", "crd", "dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd/resourcesyncconfigs.dot-ai.devopstoolkit.live")
	r.Kube("", "create", "namespace", "dot-ai")
	r.Apply(selectionObjects)
	dir := t.TempDir()
	chart, declared := filepath.Join(dir, "chart.yaml"), filepath.Join(dir, "declared.yaml")
	for path, text := range map[string]string{
		chart:    render(t, "sync", "vec", "--set", "resourceSyncConfig.enabled=true,config.restEndpoint=,config.optOutAnnotation=example.com/no"),
		declared: fmt.Sprintf(declaredNarrow, r.SyncURL()),
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errOut := k.run(t, "vectordb-sync", "plan", "-f", chart, "-f", declared, "--watch=0", "-o", "json")
	var report plan.Report
	if err := json.Unmarshal([]byte(out), &report); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v:\n%.2000s%s", code, err, out, errOut)
	}
	if len(report.Receivers) != 1 || report.Receivers[0].Name != "dot-ai.narrow" || report.Receivers[0].Objects != 4 {
		t.Fatalf("planned are %+v, want the three ConfigMaps and the Deployment, for the declared receiver alone", report.Receivers)
	}
	if code, out, errOut = k.run(t, "vectordb-sync", "plan", "-f", chart, "-f", declared, "--watch=0", "--resource=cm", "-n", "default"); code != 0 ||
		!strings.Contains(out, "configmaps.v1   3 ") || strings.Contains(out, "deployments") {
		t.Errorf("a plan of ConfigMaps ends with %d:\n%s%s", code, out, errOut)
	}

	r.Kube("", "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key="+fleet.Token)
	r.Kube("", "apply", "-f", declared)
	meets(t, r, map[string]string{
		"RESOURCE_SYNC_CONFIG": "true", "REST_ENDPOINT": "", "AUTH_TOKEN_FILE": "", "OPT_OUT_ANNOTATION": "example.com/no",
	}, report)
}
