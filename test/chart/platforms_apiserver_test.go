package chart_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const openShift = "on-openshift"

// testRunsOnOpenShift has the pods of every variant admitted under a policy with the demands of OpenShift's
// restricted-v2.
func (c *cluster) testRunsOnOpenShift(t *testing.T) {
	c.apply(t, read(t, "testdata/restricted-v2.yaml"))
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: openShift, Labels: map[string]string{"platform": "openshift"}, Annotations: map[string]string{
		"openshift.io/sa.scc.uid-range": "1000680000/10000", "openshift.io/sa.scc.supplemental-groups": "1000680000/10000",
	}}}
	if _, err := c.admin.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	c.waitUntilPolicyHolds(t)
	for set, want := range map[string]string{
		"podSecurityContext.runAsUser=65532":                   "runAsUser: Invalid value: 65532",
		"podSecurityContext.fsGroup=65532":                     "fsGroup: Invalid value: 65532",
		"securityContext.runAsUser=65532":                      "a container's runAsUser must be in the ranges",
		"podSecurityContext.seccompProfile=null":               "seccompProfile must be RuntimeDefault",
		"podSecurityContext.runAsNonRoot=null":                 "runAsNonRoot must be true",
		"securityContext.capabilities=null":                    "all capabilities must be dropped",
		"securityContext.allowPrivilegeEscalation=null":        "allowPrivilegeEscalation must be false",
		"extraVolumes[0].name=a,extraVolumes[0].hostPath.path": "a volume of this kind may not be used",
	} {
		if !strings.Contains(set, "=null") && !strings.HasSuffix(set, "65532") {
			set += "=/"
		}
		err := c.admits(t, openShift, podTemplates(t, template(t, "--set", set))["StatefulSet/k8s-vectordb-sync"])
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q: the policy demands less than restricted-v2", set, err, want)
		}
	}
	for name, variant := range variants {
		if name == "everything about pods" { // whose other containers are not ours
			continue
		}
		args := append(values(t, variant), "--api-versions", "security.openshift.io/v1")
		for workload, pod := range podTemplates(t, templateWithHooks(t, args...)) {
			if err := c.admits(t, openShift, pod); err != nil {
				t.Errorf("%s: %s is not admitted: %v", name, workload, err)
			}
		}
	}
	for workload, pod := range podTemplates(t, kustomize(t, "default")) {
		if err := c.admits(t, openShift, pod); err != nil {
			t.Errorf("kustomize: %s is not admitted: %v", workload, err)
		}
	}
}

// waitUntilPolicyHolds waits until the API server applies the policy.
func (c *cluster) waitUntilPolicyHolds(t *testing.T) {
	t.Helper()
	bad := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}}
	for deadline := time.Now().Add(time.Minute); ; {
		err := c.admits(t, openShift, bad)
		if err != nil && strings.Contains(err.Error(), "restricted-v2") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the policy does not hold: %v", err)
		}
	}
}

// admits has the API server admit a pod of this template. No controller creates one here.
func (c *cluster) admits(t *testing.T, namespace string, template corev1.PodTemplateSpec) error {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Name, pod.Namespace = "k8s-vectordb-sync-0", namespace
	pod.Spec.ServiceAccountName = "default"
	for i := range pod.Spec.Containers {
		for _, mount := range pod.Spec.Containers[i].VolumeMounts {
			if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
				claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: mount.Name}}
				pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: mount.Name, VolumeSource: claim})
			}
		}
	}
	_, err := c.admin.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: "Strict"})
	return err
}

// testNamespacedPermissions: the Roles suffice for the objects in the namespaces, and no other object may be read.
func (c *cluster) testNamespacedPermissions(t *testing.T) {
	client, meta := c.account(t, "rooms", "--set", "rbac.namespaced=true,config.watchNamespaces={team,monitoring}")
	watched := 0
	for _, gvr := range listable(t, client) {
		if gvr.Resource == "clustertrustbundles" { // every account may list these
			continue
		}
		if err := listAndWatch(t.Context(), meta, gvr); !apierrors.IsForbidden(err) {
			t.Errorf("%s in the whole cluster: error %v, want forbidden", gvr, err)
		}
		if !c.namespaced(t, gvr) {
			continue
		}
		for ns, want := range map[string]bool{"team": true, "monitoring": true, "kube-system": false} {
			_, err := meta.Resource(gvr).Namespace(ns).List(t.Context(), metav1.ListOptions{Limit: 1})
			if want && err != nil || !want && !apierrors.IsForbidden(err) {
				t.Errorf("%s in %s: error %v, want allowed: %v", gvr, ns, err, want)
			}
			watched++
		}
	}
	if watched < 60 {
		t.Errorf("%d lists: too little was tested", watched)
	}
	if !may(t, client, onResource("update", "coordination.k8s.io", "leases", "rooms-system")) {
		t.Error("renewing its Lease is not allowed")
	}
	for _, ns := range []string{"team", "monitoring", "kube-system"} {
		if may(t, client, onResource("update", "coordination.k8s.io", "leases", ns)) || may(t, client, onResource("get", "", "secrets", ns)) {
			t.Errorf("more than list and watch is allowed in %s", ns)
		}
	}
}

// namespaced tells whether objects of a type are in namespaces.
func (c *cluster) namespaced(t *testing.T, gvr schema.GroupVersionResource) bool {
	t.Helper()
	list, err := c.admin.Discovery().ServerResourcesForGroupVersion(gvr.GroupVersion().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list.APIResources {
		if r.Name == gvr.Resource {
			return r.Namespaced
		}
	}
	t.Fatalf("%s is not served", gvr)
	return false
}

// testPermissionsWithoutSecrets: all types of Kubernetes except Secrets may be watched, and of the further ones only
// those that are named.
func (c *cluster) testPermissionsWithoutSecrets(t *testing.T) {
	client, meta := c.account(t, "discreet", "--set", "rbac.preset=no-secrets", "--set-json",
		`rbac.extraRules=[{"apiGroups":["cert-manager.io"],"resources":["*"],"verbs":["list","watch"]}]`)
	secrets := schema.GroupVersionResource{Version: "v1", Resource: "secrets"}
	allowed := 0
	for _, gvr := range listable(t, client) {
		err := listAndWatch(t.Context(), meta, gvr)
		added := strings.Contains(gvr.Group, ".") && !strings.HasSuffix(gvr.Group, ".k8s.io") && gvr.Group != "cert-manager.io"
		switch {
		case gvr == secrets || added:
			if !apierrors.IsForbidden(err) {
				t.Errorf("%s: error %v, want forbidden", gvr, err)
			}
		case err != nil:
			t.Errorf("%s: %v", gvr, err)
		default:
			allowed++
		}
	}
	if allowed < 40 {
		t.Errorf("%d types may be watched: too little was tested", allowed)
	}
}

// testAppliedByTheServer: the repeated applies of Argo CD and Flux change nothing, and conflict with no other
// manager.
func (c *cluster) testAppliedByTheServer(t *testing.T) {
	const ns = "by-the-server"
	c.kubectl(t, nil, "create", "namespace", ns)
	args := []string{"template", "gitops", chartDir, "--namespace", ns, "--no-hooks", offline, "--set", "resourceSyncConfig.enabled=true,networkPolicy.enabled=true," +
		"autoscaling.enabled=true,receiver.enabled=true,metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.certManager.enabled=true"}
	first, second := mustRun(t, nil, helm(t), args...), mustRun(t, nil, helm(t), args...)
	if !bytes.Equal(first, second) {
		t.Error("the same values render other objects the second time")
	}
	apply := func() string {
		t.Helper()
		return string(c.kubectl(t, first, "apply", "--server-side", "--field-manager=argocd-controller", "--validate=strict", "-f", "-"))
	}
	apply()
	// The autoscaler does the same.
	c.kubectl(t, nil, "scale", "statefulset/gitops-k8s-vectordb-sync", "--replicas=4", "-n", ns)
	versions := func() string {
		return string(c.kubectl(t, nil, "get", "statefulset,deployment,service,role,networkpolicy", "-n", ns, "-o", "jsonpath={range .items[*]}{.kind}/{.metadata.name}:{.metadata.generation}:{.metadata.resourceVersion} {end}"))
	}
	before := versions()
	apply()
	if after := versions(); after != before {
		t.Errorf("applied again, objects have changed:\n%s\n%s", before, after)
	}
	if got := string(c.kubectl(t, nil, "get", "statefulset/gitops-k8s-vectordb-sync", "-n", ns, "-o", "jsonpath={.spec.replicas}")); got != "4" {
		t.Errorf("%s replicas, want the 4 of the autoscaler", got)
	}
}
