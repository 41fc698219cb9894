package chart_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// likeKustomize renders the chart as config/basic and config/default are written.
func likeKustomize(t *testing.T, folder string) manifests {
	t.Helper()
	args := []string{"--set", "config.restEndpoint=" + endpoint}
	if folder == "default" {
		args = append(args, "--set", "metrics.certManager.enabled=true,metrics.serviceMonitor.enabled=true,"+
			"metrics.prometheusRule.enabled=true,networkPolicy.enabled=true")
	}
	return template(t, args...)
}

// The two ways of installing must do the same. Labels are Helm's own; the environment may come from a ConfigMap.
func TestKustomizeInstallsWhatTheChartInstalls(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"basic", "default"} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			want, got := likeKustomize(t, folder), kustomize(t, folder)
			if diff := cmp.Diff(normalized(t, want), normalized(t, got)); diff != "" {
				t.Errorf("objects (-chart +kustomize):\n%s", diff)
			}
			if diff := cmp.Diff(environment(t, want), environment(t, got)); diff != "" {
				t.Errorf("environment (-chart +kustomize):\n%s", diff)
			}
		})
	}
}

// normalized returns the objects by key, without what the two ways may do in their own manner.
func normalized(t *testing.T, m manifests) map[string]any {
	t.Helper()
	objects := map[string]any{}
	for _, o := range m {
		switch o.GetKind() {
		case "Namespace", "ConfigMap":
			continue
		case "StatefulSet":
			set := statefulSet(t, m)
			set.Labels = nil
			c := &set.Spec.Template.Spec.Containers[0]
			c.EnvFrom = nil
			c.Env = slices.DeleteFunc(c.Env, func(e corev1.EnvVar) bool { return e.ValueFrom == nil })
			byName := func(a, b corev1.Volume) int { return strings.Compare(a.Name, b.Name) }
			slices.SortFunc(set.Spec.Template.Spec.Volumes, byName)
			slices.SortFunc(c.VolumeMounts, func(a, b corev1.VolumeMount) int { return strings.Compare(a.Name, b.Name) })
			objects[key(o)] = set
			continue
		}
		o.SetLabels(nil)
		objects[key(o)] = o.Object
	}
	return objects
}

func TestControllerAcceptsTheEnvironmentOfKustomize(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"basic", "default", "samples/three-replicas", "samples/dot-ai"} {
		env := environment(t, kustomize(t, folder))
		provideFiles(t, env)
		c, err := config.FromEnviron(environ(env))
		if err != nil || len(c.Warnings) > 0 {
			t.Errorf("%s: the controller says %v and warns %v", folder, err, c.Warnings)
		}
	}
}

// A changed setting must restart the replicas, which read their environment once.
func TestChangedSettingsOfKustomizeChangeThePods(t *testing.T) {
	t.Parallel()
	a, b := controller(t, kustomize(t, "basic")), controller(t, kustomize(t, "samples/three-replicas"))
	if cmp.Equal(a.EnvFrom, b.EnvFrom) {
		t.Errorf("two environments, one ConfigMap: %v", a.EnvFrom)
	}
	ignore := cmpopts.IgnoreFields(corev1.Container{}, "EnvFrom")
	if diff := cmp.Diff(a, b, ignore); diff != "" {
		t.Errorf("the sample changes more than it says (-basic +three-replicas):\n%s", diff)
	}
}

func TestKustomizeAlertsAreUpToDate(t *testing.T) {
	t.Parallel()
	rule := likeKustomize(t, "default").find("PrometheusRule/k8s-vectordb-sync-alerts")
	rule.SetLabels(kustomizeLabels())
	text := append([]byte("# Written from the chart by `hack/chart-test.sh -update`. Do not edit.\n"), manifests{rule}.yaml(t)...)
	upToDate(t, root+"/config/prometheus/alerts.yaml", text)
}
