package plugin_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/plugin"
)

// chartManifest has the documents of the chart that matter for a plan, and others.
const chartManifest = `
# Source: a comment alone is no document
---
apiVersion: v1
kind: Service
metadata: {name: sync}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sync-receiver, namespace: vec}
spec: {template: {metadata: {labels: {app.kubernetes.io/component: receiver}}, spec: {containers: [{name: receiver, env: [{name: REST_ENDPOINT, value: none}]}]}}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sync, namespace: vec}
spec:
  template:
    spec:
      containers:
      - {name: proxy, env: [{name: SKIP_CONTROLLED, value: "false"}]}
      - name: controller
        env:
        - {name: REST_ENDPOINT, value: "http://r:3000/"}
        - {name: SKIP_CONTROLLED, value: "true"}
        - {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: EXTRA, valueFrom: {secretKeyRef: {name: s, key: k}}}
`

const declaredManifest = `
apiVersion: v1
kind: List
items:
- apiVersion: dot-ai.devopstoolkit.live/v1alpha1
  kind: ResourceSyncConfig
  metadata: {name: sync, namespace: dot-ai}
  spec: {mcpEndpoint: "http://m/"}
`

// TestPlanSettings_AreThoseOfManifestsOrTheReleaseOrTheDefaults has each source, and which one wins.
func TestPlanSettings_AreThoseOfManifestsOrTheReleaseOrTheDefaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	chart, declared := write("chart.yaml", chartManifest), write("declared.yaml", declaredManifest)
	envFile := write("env", "# what is tried\nSKIP_CONTROLLED=false\n\nLABEL_INCLUDE=app,team\n")
	fromChart := map[string]string{"REST_ENDPOINT": "http://r:3000/", "SKIP_CONTROLLED": "true", "POD_NAMESPACE": "vec"}
	for name, c := range map[string]struct {
		release  bool
		stdin    string
		args     []string
		want     map[string]string
		declared []string
		from     string
	}{
		"nothing runs":        {want: map[string]string{}, from: "the defaults, for no release was found"},
		"a release":           {release: true, want: map[string]string{"LABEL_INCLUDE": "app"}, from: "release work/sync"},
		"the defaults":        {release: true, args: []string{"--defaults"}, want: map[string]string{}, from: "the defaults"},
		"manifests":           {release: true, args: []string{"-f", chart}, want: fromChart, from: "StatefulSet sync in " + chart},
		"manifests by a pipe": {stdin: chartManifest, args: []string{"-f", "-"}, want: fromChart, from: "StatefulSet sync in -"},
		"a file, and flags over it": {
			args: []string{"--env-file", envFile, "--env", "LABEL_INCLUDE=tier", "--env", "EXTRA_LABELS=a=b"}, from: "the defaults, for no release was found",
			want: map[string]string{"SKIP_CONTROLLED": "false", "LABEL_INCLUDE": "tier", "EXTRA_LABELS": "a=b"},
		},
		"a declared receiver and a release": {
			release: true, args: []string{"-f", declared}, declared: []string{"dot-ai/sync"}, from: "release work/sync",
			want: map[string]string{"LABEL_INCLUDE": "app", "RESOURCE_SYNC_CONFIG": "true"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kube{t: t}
			if c.release {
				k.add("work", "sync", "sync-0", nil).Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LABEL_INCLUDE", Value: "app"}}
			}
			env, objects, from, _, err := plugin.ReadSettings(t.Context(), strings.NewReader(c.stdin), append(c.args, k.flags()...)...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, env); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			if !cmp.Equal(c.declared, objects) || from != c.from {
				t.Errorf("declared are %v, want %v; from %q, want %q", objects, c.declared, from, c.from)
			}
		})
	}
}

// TestPlan_SaysWhatIsWrongWithItsArguments covers arguments that are refused before the cluster is read.
func TestPlan_SaysWhatIsWrongWithItsArguments(t *testing.T) {
	t.Parallel()
	service := filepath.Join(t.TempDir(), "service.yaml")
	if err := os.WriteFile(service, []byte("{apiVersion: v1, kind: Service, metadata: {name: a}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a setting that is none":    {[]string{"--env", "SKIP"}, `"SKIP" is no setting, want NAME=value`},
		"a value that makes none":   {[]string{"--env", "SKIP_CONTROLLED=perhaps"}, "SKIP_CONTROLLED=perhaps"},
		"a file that is not there":  {[]string{"-f", "/nowhere.yaml"}, "/nowhere.yaml"},
		"manifests without any":     {[]string{"-f", service}, "has neither a StatefulSet of k8s-vectordb-sync nor a ResourceSyncConfig"},
		"a time that is before now": {[]string{"--watch", "-1m"}, "--watch -1m0s is no time to watch"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := &kube{t: t}
			got := k.run(append([]string{"plan"}, c.args...)...)
			if got.code != 2 || !strings.Contains(got.errOut, c.want) {
				t.Errorf("got %+v, want exit code 2 and %q", got, c.want)
			}
		})
	}
}
