//go:build e2e

package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// holds waits until the receiver has some documents and lacks others, by their IDs.
func holds(t *testing.T, r *fleet.Rig, has, lacks []string) {
	t.Helper()
	fleet.Eventually(t, converge, func() string {
		docs := r.Documents()
		for _, id := range has {
			if _, ok := docs[resource.ID(id)]; !ok {
				return id + " is not at the receiver"
			}
		}
		for _, id := range lacks {
			if _, ok := docs[resource.ID(id)]; ok {
				return id + " is at the receiver"
			}
		}
		return ""
	})
}

// TestAGPUNodeThatTicksCostsNothing relabels a node as GPU Feature Discovery does each minute, only faster.
func TestAGPUNodeThatTicksCostsNothing(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Apply(`{apiVersion: v1, kind: Node, metadata: {name: gpu-1, labels: {nvidia.com/gpu.count: "8", nvidia.com/gfd.timestamp: "1609384711"}}}`)
	p := r.Start(map[string]string{"DEBOUNCE_WINDOW_MS": "0", "BATCH_FLUSH_INTERVAL_MS": "100"})
	p.WaitReady(time.Minute)
	holds(t, r, []string{"_cluster/v1/Node/gpu-1"}, nil)
	if labels := r.Documents()["_cluster/v1/Node/gpu-1"].Labels; labels["nvidia.com/gpu.count"] != "8" || labels["nvidia.com/gfd.timestamp"] != "" {
		t.Errorf("labels at the receiver: %v", labels)
	}
	mark := r.Mark()
	set := func(label string) {
		body := fmt.Sprintf(`{"metadata":{"labels":{%s}}}`, label)
		if _, err := client(t, r).Resource(nodes).Patch(t.Context(), "gpu-1", types.MergePatchType, []byte(body), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 20 {
		set(fmt.Sprintf(`"nvidia.com/gfd.timestamp":"%d"`, 1609384771+60*i))
	}
	set(`"nvidia.com/gpu.count":"7"`) // by then the others have been seen
	fleet.Eventually(t, converge, func() string {
		if n := r.Documents()["_cluster/v1/Node/gpu-1"].Labels["nvidia.com/gpu.count"]; n != "7" {
			return "the node has " + n
		}
		return ""
	})
	upserts := 0
	for _, rec := range r.Since(mark) {
		for _, u := range rec.Upserts {
			if u.ID == "_cluster/v1/Node/gpu-1" {
				upserts++
			}
		}
	}
	if upserts != 1 {
		t.Errorf("20 ticks of a clock and one change of the node were %d upserts, want 1", upserts)
	}
}

const selectionObjects = `
apiVersion: v1
kind: ConfigMap
metadata: {name: plain, namespace: default, labels: {team: shop}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: private, namespace: default, labels: {team: shop}, annotations: {vectordb-sync.io/ignore: "true"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: theirs, namespace: default, labels: {team: other}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, labels: {team: shop}}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}}
`

// TestSelection_EveryWayAtOnce_OnlyTheSelectedIsHeld uses every way of selection at once. It follows objects that
// leave the selection and come back, and restarts the replica in between.
func TestSelection_EveryWayAtOnce_OnlyTheSelectedIsHeld(t *testing.T) {
	beside(t, 10*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Apply(selectionObjects)
	uid := strings.TrimSpace(r.Kube("", "get", "deployment", "web", "-o", "jsonpath={.metadata.uid}"))
	r.Apply(`{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-1, namespace: default, labels: {team: shop},
ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: web, uid: ` + uid + `, controller: true}]},
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: c}]}}}}`)
	env := map[string]string{
		"WATCH_LABEL_SELECTOR": "team in (shop)", "SKIP_CONTROLLED": "true", "EXTRA_LABELS": "cluster=prod-eu", "DEBOUNCE_WINDOW_MS": "100",
		"WATCH_RESOURCE_TYPES": "configmaps,deployments,replicasets", "STATE_DIR": t.TempDir(),
	}
	p := r.Start(env)
	p.WaitReady(time.Minute)
	const configMap = "default/v1/ConfigMap/"
	plain, deployment := configMap+"plain", "default/apps/v1/Deployment/web"
	holds(t, r, []string{plain, deployment}, []string{configMap + "private", configMap + "theirs", "default/apps/v1/ReplicaSet/web-1"})
	if labels := r.Documents()[resource.ID(plain)].Labels; labels["cluster"] != "prod-eu" || labels["team"] != "shop" {
		t.Errorf("labels at the receiver: %v", labels)
	}

	r.Kube("", "annotate", "configmap", "private", "vectordb-sync.io/ignore-")
	r.Kube("", "annotate", "configmap", "plain", "vectordb-sync.io/ignore=true")
	r.Kube("", "label", "configmap", "theirs", "team=shop", "--overwrite")
	r.Kube("", "label", "deployment", "web", "team=other", "--overwrite")
	holds(t, r, []string{configMap + "private", configMap + "theirs"}, []string{plain, deployment})

	if code := p.Stop(time.Minute); code != 0 {
		t.Errorf("exit code %d", code)
	}
	r.Kube("", "annotate", "configmap", "plain", "vectordb-sync.io/ignore-")
	r.Kube("", "annotate", "configmap", "private", "vectordb-sync.io/ignore=true")
	r.Kube("", "label", "configmap", "theirs", "team=other", "--overwrite")
	mark := r.Mark()
	p = r.Start(env)
	p.WaitReady(time.Minute)
	holds(t, r, []string{plain}, []string{configMap + "private", configMap + "theirs", deployment, "default/apps/v1/ReplicaSet/web-1"})
	for _, rec := range r.Since(mark) {
		for _, u := range rec.Upserts {
			if u.ID != plain {
				t.Errorf("%s was sent, which has not come into the choice", u.ID)
			}
		}
	}
}

// TestADeclaredReceiverSeesLessAndWhatLeavesItsViewGoes declares a receiver that sees less than the process keeps.
// It opts an object out of that receiver alone, narrows it further, and breaks it. Objects that leave its view are
// deleted there, and a mistake is reported at once.
func TestADeclaredReceiverSeesLessAndWhatLeavesItsViewGoes(t *testing.T) {
	beside(t, 20*time.Second)
	r := fleet.New(t, fleet.Options{Format: fleet.DotAI})
	r.Kube("", "apply", "--server-side", "-f", definition)
	r.Kube("", "create", "namespace", "dot-ai")
	r.Kube("", "create", "secret", "generic", "mcp-credentials", "-n", "dot-ai", "--from-literal=api-key="+fleet.Token)
	r.Apply(selectionObjects)
	r.Kube("", "create", "configmap", "third")
	r.Kube("", "label", "configmap", "third", "team=shop", "secret-token=x")
	r.Start(onlyDeclared()).WaitReady(time.Minute)
	r.Apply(declaration(t, "narrow", map[string]any{
		"mcpEndpoint": r.SyncURL(), "watchResourceTypes": []string{"cm", "deployments"}, "watchLabelSelector": "team", "optOutValue": "search",
		"labelExclude": []string{"secret-*"}, "extraLabels": map[string]string{"cluster": "eu"},
	}))
	const configMap, web = "default/v1/ConfigMap/", "default/apps/v1/Deployment/web"
	labelled := func(name, key, want string) {
		t.Helper()
		fleet.Eventually(t, converge, func() string {
			if labels := r.Documents()[resource.ID(name)].Labels; labels[key] != want {
				return fmt.Sprintf("%s has the labels %v, want %s=%q", name, labels, key, want)
			}
			return ""
		})
	}
	holds(t, r, []string{configMap + "plain", configMap + "theirs", configMap + "third", web},
		[]string{configMap + "private", configMap + "kube-root-ca.crt", "_cluster/v1/Namespace/default"})
	labelled(configMap+"third", "cluster", "eu")
	labelled(configMap+"third", "secret-token", "")

	r.Kube("", "annotate", "configmap", "plain", "vectordb-sync.io/ignore=other,search")
	holds(t, r, nil, []string{configMap + "plain"})
	change := func(spec string) {
		r.Kube("", "patch", "resourcesyncconfig", "narrow", "-n", "dot-ai", "--type=merge", "-p", `{"spec":`+spec+`}`)
	}
	change(`{"watchLabelSelector":"team=shop","extraLabels":{"cluster":"us"},"labelExclude":null}`)
	holds(t, r, []string{configMap + "third", web}, []string{configMap + "plain", configMap + "theirs"})
	labelled(configMap+"third", "cluster", "us")
	labelled(configMap+"third", "secret-token", "x")

	change(`{"watchLabelSelector":"((","labelInclude":["["],"extraLabels":{"a b":"c"}}`)
	fleet.Eventually(t, converge, func() string {
		ready := r.Kube("", "get", "resourcesyncconfig", "narrow", "-n", "dot-ai", "-o", `jsonpath={.status.conditions[?(@.type=="Ready")]}`)
		for _, want := range []string{"InvalidSpec", "spec.watchLabelSelector", "spec.labelInclude", "spec.extraLabels"} {
			if !strings.Contains(ready, want) {
				return "Ready says nothing of " + want + ": " + ready
			}
		}
		return ""
	})
	holds(t, r, []string{configMap + "third", web}, nil)
	change(`{"watchLabelSelector":"team=shop","labelInclude":["team"],"extraLabels":null}`)
	labelled(configMap+"third", "secret-token", "")
	labelled(configMap+"third", "team", "shop")
}
