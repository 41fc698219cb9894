package chart_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"

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

// The two ways to install must do the same. Labels are Helm's own; the environment may come from a ConfigMap.
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

// normalized returns the objects by key, without the permitted differences between the two ways.
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
		// An overlay can rename the Service of the kustomize manifests, but not the Service's name in the
		// certificate.
		switch o.GetKind() {
		case "ServiceMonitor":
			endpoint := o.Object["spec"].(map[string]any)["endpoints"].([]any)[0].(map[string]any)
			delete(endpoint["tlsConfig"].(map[string]any), "serverName")
		case "Certificate":
			delete(o.Object["spec"].(map[string]any), "dnsNames")
		}
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

// A namePrefix and a namespace of an overlay reach every place of a name.
func TestKustomize_NamePrefixAndNamespace_Hold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	base, err := filepath.Abs(root + "/config/default")
	if err == nil {
		base, err = filepath.Rel(dir, base)
	}
	if err != nil {
		t.Fatal(err)
	}
	overlay := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamePrefix: blue-\nnamespace: search\nresources: [" + base + "]\n"
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(overlay), 0o600); err != nil {
		t.Fatal(err)
	}
	m := parse(t, mustRun(t, nil, kubectl(t), "kustomize", dir))
	const full = "blue-k8s-vectordb-sync"
	set := decode[appsv1.StatefulSet](t, m, "StatefulSet/"+full)
	pod := set.Spec.Template.Spec
	env := decode[corev1.ConfigMap](t, m, "ConfigMap/"+pod.Containers[0].EnvFrom[0].ConfigMapRef.Name).Data
	ring := decode[rbacv1.Role](t, m, "Role/"+full+"-ring-role")
	secret := decode[corev1.Secret](t, m, "Secret/"+full+"-metrics-scraper")
	certificate := m.find("Certificate/" + full + "-metrics-cert").Object["spec"].(map[string]any)
	monitor := m.find("ServiceMonitor/" + full + "-controller-manager-metrics-monitor")
	tls := monitor.Object["spec"].(map[string]any)["endpoints"].([]any)[0].(map[string]any)["tlsConfig"].(map[string]any)
	var owner, volume string
	for _, r := range ring.Rules {
		if slices.Contains(r.Resources, "statefulsets") {
			owner = strings.Join(r.ResourceNames, ",")
		}
	}
	for _, v := range pod.Volumes {
		if v.Secret != nil {
			volume = v.Secret.SecretName
		}
	}
	got := map[string]string{
		"Leases' owner": env["STATEFUL_SET_NAME"], "ring": env["RING_NAME"], "role": owner, "Service": set.Spec.ServiceName,
		"account": pod.ServiceAccountName, "volume": volume, "certificate": certificate["secretName"].(string),
		"issuer": certificate["issuerRef"].(map[string]any)["name"].(string), "authority": tls["ca"].(map[string]any)["secret"].(map[string]any)["name"].(string),
		"token": credentials(t, monitor), "token's account": secret.Annotations["kubernetes.io/service-account.name"],
		"name of the certificate": tls["serverName"].(string),
	}
	want := map[string]string{
		"Leases' owner": full, "ring": full, "role": full, "Service": full + "-headless", "account": full + "-controller-manager",
		"volume": full + "-metrics-cert", "certificate": full + "-metrics-cert", "issuer": full + "-selfsigned-issuer", "authority": full + "-metrics-cert",
		"token": full + "-metrics-scraper/token", "token's account": full + "-metrics-scraper", "name of the certificate": certificate["dnsNames"].([]any)[0].(string),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, o := range m {
		if !strings.HasPrefix(o.GetName(), "blue-") && o.GetKind() != "Namespace" {
			t.Errorf("%s has not the prefix", key(o))
		}
		if ns := o.GetNamespace(); ns != "" && ns != "search" {
			t.Errorf("%s is in %s", key(o), ns)
		}
		if strings.HasSuffix(o.GetKind(), "RoleBinding") {
			b := decode[rbacv1.ClusterRoleBinding](t, manifests{o}, key(o))
			if m.find(b.RoleRef.Kind+"/"+b.RoleRef.Name) == nil || m.find("ServiceAccount/"+b.Subjects[0].Name) == nil || b.Subjects[0].Namespace != "search" {
				t.Errorf("%s binds %s to %v", key(o), b.RoleRef.Name, b.Subjects[0])
			}
		}
	}
}

// config/prometheus stands under resources, as such folders of other projects do.
func TestKustomize_Prometheus_IsAResource(t *testing.T) {
	t.Parallel()
	got := kustomize(t, "prometheus").keys()
	want := []string{
		"ClusterRoleBinding/k8s-vectordb-sync-metrics-scraper", "PrometheusRule/k8s-vectordb-sync-alerts", "Secret/k8s-vectordb-sync-metrics-scraper",
		"ServiceAccount/k8s-vectordb-sync-metrics-scraper", "ServiceMonitor/k8s-vectordb-sync-controller-manager-metrics-monitor",
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("objects (-want +got):\n%s", diff)
	}
}
