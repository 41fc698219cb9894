package chart_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
)

// A parent chart switches its charts on and off by enabled at the root of their values.
func TestEnabled_False_RendersNothing(t *testing.T) {
	t.Parallel()
	if got := templateWithHooks(t, "--set", "enabled=false,receiver.enabled=true,resourceSyncConfig.enabled=true", "--set-json", `extraObjects=[{"apiVersion":"v1","kind":"ConfigMap"}]`); len(got) > 0 {
		t.Errorf("switched off, it renders %v", got.keys())
	}
	for _, on := range []string{"enabled=true", "enabled=null"} {
		if diff := cmp.Diff(template(t).keys(), template(t, "--set", on).keys()); diff != "" {
			t.Errorf("%s (-default +got):\n%s", on, diff)
		}
	}
}

func TestGlobal_RegistryAndPullSecrets_ReachEveryPod(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"":                              "mirror.example.com:5000/k8s-vectordb-sync/k8s-vectordb-sync:0.1.0",
		"ghcr.io/a/b":                   "mirror.example.com:5000/a/b:0.1.0",
		"registry.local:5000/a/b":       "mirror.example.com:5000/a/b:0.1.0",
		"localhost/b":                   "mirror.example.com:5000/b:0.1.0",
		"team/sync":                     "mirror.example.com:5000/team/sync:0.1.0",
		"sync":                          "mirror.example.com:5000/sync:0.1.0",
		"mirror.example.com:5000/a/b/c": "mirror.example.com:5000/a/b/c:0.1.0",
	} {
		args := []string{"--set", "global.imageRegistry=mirror.example.com:5000"}
		if given != "" {
			args = append(args, "--set", "image.repository="+given)
		}
		if got := controller(t, template(t, args...)).Image; got != want {
			t.Errorf("image.repository=%s: image %s, want %s", given, got, want)
		}
	}
	m := templateWithHooks(t, "--set", "receiver.enabled=true,global.imageRegistry=mirror.example.com", "--set-json",
		`global.imagePullSecrets=["a",{"name":"b"}]`, "--set-json", `imagePullSecrets=[{"name":"b"},"c"]`)
	want := []corev1.LocalObjectReference{{Name: "a"}, {Name: "b"}, {Name: "c"}}
	for name, pod := range podTemplates(t, m) {
		if diff := cmp.Diff(want, pod.Spec.ImagePullSecrets); diff != "" {
			t.Errorf("%s: Secrets to pull with (-want +got):\n%s", name, diff)
		}
		if image := pod.Spec.Containers[0].Image; !strings.HasPrefix(image, "mirror.example.com/k8s-vectordb-sync/") {
			t.Errorf("%s is pulled as %s", name, image)
		}
	}
}

// podTemplates returns every object that becomes a pod, by its key.
func podTemplates(t *testing.T, m manifests) map[string]corev1.PodTemplateSpec {
	t.Helper()
	all := map[string]corev1.PodTemplateSpec{}
	for _, o := range m {
		switch o.GetKind() {
		case "StatefulSet":
			all[key(o)] = decode[appsv1.StatefulSet](t, manifests{o}, key(o)).Spec.Template
		case "Deployment":
			all[key(o)] = decode[appsv1.Deployment](t, manifests{o}, key(o)).Spec.Template
		case "Pod":
			pod := decode[corev1.Pod](t, manifests{o}, key(o))
			all[key(o)] = corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}
		}
	}
	return all
}

func TestAnnotations_ForAllAndForTheWorkload(t *testing.T) {
	t.Parallel()
	everything := slices.Concat(values(t, variants["cert-manager and prometheus"]), []string{
		"--set", `resourceSyncConfig.enabled=true,networkPolicy.enabled=true,receiver.enabled=true,receiver.persistence.enabled=true,` +
			`commonAnnotations.example\.com/owner=search,workloadAnnotations.reloader\.stakater\.com/auto=x`,
	})
	m := templateWithHooks(t, everything...)
	if len(m) < 25 {
		t.Errorf("%d objects: too little was tested", len(m))
	}
	for _, o := range m {
		if o.GetAnnotations()["example.com/owner"] != "search" {
			t.Errorf("%s has the annotations %v, and not the common one", key(o), o.GetAnnotations())
		}
		workload := o.GetKind() == "StatefulSet" || o.GetKind() == "Deployment"
		if _, has := o.GetAnnotations()["reloader.stakater.com/auto"]; has != workload {
			t.Errorf("%s has the annotation of the workload: %v", key(o), has)
		}
	}
}

// Prometheus' credentials come from a Secret: a Prometheus that several teams share refuses to read files for one of
// them.
func TestServiceMonitor_Token_ComesFromASecretThatIsThere(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]manifests{
		"chart":     template(t, "--set", "metrics.serviceMonitor.enabled=true"),
		"kustomize": kustomize(t, "default"),
		"resource":  kustomize(t, "prometheus"),
	} {
		monitor := m.find("ServiceMonitor/k8s-vectordb-sync-controller-manager-metrics-monitor")
		raw, err := json.Marshal(monitor.Object)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "File") {
			t.Errorf("%s: the ServiceMonitor names a file: %s", name, raw)
		}
		secret := decode[corev1.Secret](t, m, "Secret/k8s-vectordb-sync-metrics-scraper")
		account := secret.Annotations["kubernetes.io/service-account.name"]
		if secret.Type != corev1.SecretTypeServiceAccountToken || m.find("ServiceAccount/"+account) == nil {
			t.Errorf("%s: the Secret is a %s of account %s", name, secret.Type, account)
		}
		if got := credentials(t, monitor); got != secret.Name+"/token" {
			t.Errorf("%s: the token comes from %s", name, got)
		}
		binding := decode[rbacv1.ClusterRoleBinding](t, m, "ClusterRoleBinding/k8s-vectordb-sync-metrics-scraper")
		if binding.RoleRef.Name != "k8s-vectordb-sync-metrics-reader" || binding.Subjects[0].Name != account {
			t.Errorf("%s: the account is bound by %+v", name, binding)
		}
	}
	m := template(t, "--set", "metrics.serviceMonitor.enabled=true,metrics.serviceMonitor.authorization.secretName=theirs,metrics.serviceMonitor.authorization.secretKey=bearer")
	if got := credentials(t, m.find("ServiceMonitor/k8s-vectordb-sync-controller-manager-metrics-monitor")); got != "theirs/bearer" {
		t.Errorf("their token comes from %s", got)
	}
	if m.find("Secret/k8s-vectordb-sync-metrics-scraper") != nil {
		t.Error("there is a token although they have one")
	}
	plain := template(t, "--set", "metrics.serviceMonitor.enabled=true,config.metricsSecure=false")
	if plain.find("Secret/k8s-vectordb-sync-metrics-scraper") != nil {
		t.Error("there is a token although nobody asks for one")
	}
}

// credentials returns the Secret and the key of a ServiceMonitor's token.
func credentials(t *testing.T, monitor *unstructured.Unstructured) string {
	t.Helper()
	var m struct {
		Spec struct {
			Endpoints []struct {
				Authorization struct {
					Credentials struct{ Name, Key string }
				}
			}
		}
	}
	raw, err := yaml.Marshal(monitor.Object)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	c := m.Spec.Endpoints[0].Authorization.Credentials
	return c.Name + "/" + c.Key
}

func TestPods_WhatAPlatformWants_IsPassedOn(t *testing.T) {
	t.Parallel()
	m := templateWithHooks(t, values(t, variants["everything about pods"])...)
	set := statefulSet(t, m)
	pod := set.Spec.Template.Spec
	if *set.Spec.RevisionHistoryLimit != 3 || *pod.RuntimeClassName != "gvisor" || pod.DNSPolicy != "None" ||
		pod.DNSConfig.Nameservers[0] != "192.0.2.53" || pod.HostAliases[0].IP != "192.0.2.10" || pod.InitContainers[0].Name != "wait" {
		t.Errorf("the pods are %+v", pod)
	}
	if from := controller(t, m).EnvFrom; len(from) != 2 || from[0].ConfigMapRef.Name != "proxy" || from[1].SecretRef.Name != "more" {
		t.Errorf("variables come from %+v", from)
	}
	for _, name := range []string{"ConfigMap/k8s-vectordb-sync-more", "ConfigMap/k8s-vectordb-sync-text"} {
		if m.find(name) == nil {
			t.Errorf("no %s among %v", name, m.keys())
		}
	}
	for name, p := range podTemplates(t, templateWithHooks(t, "--set", "receiver.enabled=true")) {
		if p.Spec.NodeSelector["kubernetes.io/os"] != "linux" {
			t.Errorf("%s may be put on a node of another system: %v", name, p.Spec.NodeSelector)
		}
	}
	dual := template(t, "--set", "service.ipFamilyPolicy=PreferDualStack,service.ipFamilies={IPv6,IPv4},receiver.enabled=true")
	services := 0
	for _, o := range dual {
		if o.GetKind() != "Service" {
			continue
		}
		services++
		s := decode[corev1.Service](t, manifests{o}, key(o)).Spec
		if *s.IPFamilyPolicy != "PreferDualStack" || !slices.Equal(s.IPFamilies, []corev1.IPFamily{"IPv6", "IPv4"}) {
			t.Errorf("%s has %v %v", key(o), *s.IPFamilyPolicy, s.IPFamilies)
		}
	}
	if services != 4 {
		t.Errorf("%d Services, want 4", services)
	}
}

// A volume needs a group that may write it. OpenShift chooses that group, and refuses another choice.
func TestPersistence_TheGroupOfTheVolume_IsSetButOnOpenShift(t *testing.T) {
	t.Parallel()
	persistent := "persistence.enabled=true,receiver.enabled=true,receiver.persistence.enabled=true"
	for name, test := range map[string]struct {
		args []string
		want *int64
	}{
		"without":      {nil, nil},
		"with":         {[]string{"--set", persistent}, new(int64(65532))},
		"another":      {[]string{"--set", persistent + ",persistence.fsGroup=3000,receiver.persistence.fsGroup=3000"}, new(int64(3000))},
		"none":         {[]string{"--set", persistent + ",persistence.fsGroup=null,receiver.persistence.fsGroup=null"}, nil},
		"on OpenShift": {[]string{"--set", persistent, "--api-versions", "security.openshift.io/v1"}, nil},
		"their own":    {[]string{"--set", persistent + ",podSecurityContext.fsGroup=7"}, new(int64(7))},
	} {
		for workload, pod := range podTemplates(t, template(t, test.args...)) {
			if diff := cmp.Diff(test.want, pod.Spec.SecurityContext.FSGroup); diff != "" {
				t.Errorf("%s: %s: fsGroup (-want +got):\n%s", name, workload, diff)
			}
		}
	}
}

// People, and some charts, write an empty text for nothing: it means the same as a value that is left out.
func TestEmptyTexts_OfSettings_AreUnset(t *testing.T) {
	t.Parallel()
	env := environment(t, template(t, values(t, variants["empty texts"])...))
	provideFiles(t, env)
	got, err := config.FromEnviron(environ(env))
	if err != nil {
		t.Fatal(err)
	}
	defaults := environment(t, template(t))
	provideFiles(t, defaults)
	want, err := config.FromEnviron(environ(defaults))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Map(), got.Map()); diff != "" {
		t.Errorf("configuration (-default +empty texts):\n%s", diff)
	}
	if ports := controller(t, template(t, values(t, variants["empty texts"])...)).Ports; len(ports) != 3 || ports[1].ContainerPort != 8443 {
		t.Errorf("ports %v", ports)
	}
}

func TestNamespaced_NoClusterRole_AndWhatIsWatchedByRoles(t *testing.T) {
	t.Parallel()
	m := template(t, "--set", "rbac.namespaced=true,config.watchNamespaces={team-a,team-b}")
	var namespaces []string
	for _, o := range m {
		if strings.HasPrefix(o.GetKind(), "Cluster") {
			t.Errorf("%s is rendered", key(o))
		}
		if key(o) != "Role/k8s-vectordb-sync-manager-role" {
			continue
		}
		namespaces = append(namespaces, o.GetNamespace())
		if diff := cmp.Diff([]rbacv1.PolicyRule{rule("*", "*")}, decode[rbacv1.Role](t, manifests{o}, key(o)).Rules); diff != "" {
			t.Errorf("rules in %s (-want +got):\n%s", o.GetNamespace(), diff)
		}
	}
	if !slices.Equal(namespaces, []string{"team-a", "team-b"}) {
		t.Errorf("roles in %v", namespaces)
	}
	env := environment(t, m)
	if env["WATCH_NAMESPACES"] != "team-a,team-b" || env["METRICS_BIND_ADDRESS"] != "0" {
		t.Errorf("the environment is %v", env)
	}
	if m.find("Service/k8s-vectordb-sync-controller-manager-metrics-service") != nil {
		t.Error("there is a Service of metrics that are off")
	}
	plain := template(t, "--set", "rbac.namespaced=true,config.watchNamespaces={team-a},config.metricsSecure=false")
	if environment(t, plain)["METRICS_BIND_ADDRESS"] != ":8443" {
		t.Error("plain metrics, which ask nobody, are off")
	}
	for set, want := range map[string]string{
		"rbac.namespaced=true": "name them in config.watchNamespaces",
		"rbac.namespaced=true,config.watchNamespaces={a},config.apiAuth=true":             "it cannot go with rbac.namespaced",
		"rbac.namespaced=true,config.watchNamespaces={a},resourceSyncConfig.enabled=true": "it cannot go with rbac.namespaced",
	} {
		if message := refused(t, "--set", set); !strings.Contains(message, want) {
			t.Errorf("%s: message %q, want %q in it", set, message, want)
		}
	}
}

func TestPermissions_PresetRulesAndExtraRules(t *testing.T) {
	t.Parallel()
	theirs := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list", "watch"}}
	extra := rule("example.com", "*")
	const extraJSON = `rbac.extraRules=[{"apiGroups":["example.com"],"resources":["*"],"verbs":["list","watch"]}]`
	for name, test := range map[string]struct {
		args []string
		want []rbacv1.PolicyRule
	}{
		"more":  {[]string{"--set-json", extraJSON}, []rbacv1.PolicyRule{rule("*", "*"), extra, clusterRule}},
		"other": {[]string{"--set-json", `rbac.rules=[{"apiGroups":[""],"resources":["pods"],"verbs":["get","list","watch"]}]`}, append(append([]rbacv1.PolicyRule{theirs}, discoveryRules...), clusterRule)},
		"types": {[]string{"--set", "config.watchResourceTypes={pods.v1},rbac.preset=no-secrets"}, append(append([]rbacv1.PolicyRule{rule("", "pods")}, discoveryRules...), clusterRule)},
	} {
		if diff := cmp.Diff(test.want, decode[rbacv1.ClusterRole](t, template(t, test.args...), managerRole).Rules); diff != "" {
			t.Errorf("%s: rules (-want +got):\n%s", name, diff)
		}
	}
	m := template(t, "--set", "rbac.preset=no-secrets")
	for _, r := range decode[rbacv1.ClusterRole](t, m, managerRole).Rules {
		if allows(r.APIGroups, "") && allows(r.Resources, "secrets") {
			t.Errorf("rule %v allows Secrets", r)
		}
	}
	// Types that may not be read are not asked for either, or an alert would never rest.
	if got := environment(t, m)["EXCLUDE_RESOURCE_TYPES"]; got != "events,leases,endpointslices,secrets.core" {
		t.Errorf("EXCLUDE_RESOURCE_TYPES=%s", got)
	}
	for _, types := range []string{"secrets", "*", "*.core", "pods,secrets.v1"} {
		message := refused(t, append([]string{"--set", "rbac.preset=no-secrets"}, "--set-literal", "config.watchResourceTypes="+types)...)
		if !strings.Contains(message, "takes in Secrets") {
			t.Errorf("%s: message %q", types, message)
		}
	}
}

func TestNetworkPolicy_NameResolution_AlsoAtThePortOfItsPods(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]manifests{
		"chart":     template(t, "--set", "networkPolicy.enabled=true"),
		"kustomize": kustomize(t, "default"),
	} {
		policy := decode[networkingv1.NetworkPolicy](t, m, "NetworkPolicy/k8s-vectordb-sync")
		open := map[string]bool{}
		for _, p := range policy.Spec.Egress[0].Ports {
			open[p.Port.String()+string(*p.Protocol)] = true
		}
		if diff := cmp.Diff(map[string]bool{"53UDP": true, "53TCP": true, "5353UDP": true, "5353TCP": true}, open); diff != "" {
			t.Errorf("%s: ports of name resolution (-want +got):\n%s", name, diff)
		}
	}
}
