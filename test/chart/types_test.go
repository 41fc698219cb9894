package chart_test

import (
	"strings"
	"testing"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// builtin are types of Kubernetes with kubectl's other names for them beside the plural.
var builtin = map[resource.Type][]string{
	{Version: "v1", Resource: "configmaps", Kind: "ConfigMap"}:                                                              {"cm"},
	{Version: "v1", Resource: "endpoints", Kind: "Endpoints"}:                                                               {"ep"},
	{Version: "v1", Resource: "events", Kind: "Event"}:                                                                      {"ev"},
	{Version: "v1", Resource: "limitranges", Kind: "LimitRange"}:                                                            {"limits"},
	{Version: "v1", Resource: "namespaces", Kind: "Namespace"}:                                                              {"ns"},
	{Version: "v1", Resource: "nodes", Kind: "Node"}:                                                                        {"no"},
	{Version: "v1", Resource: "persistentvolumeclaims", Kind: "PersistentVolumeClaim"}:                                      {"pvc"},
	{Version: "v1", Resource: "persistentvolumes", Kind: "PersistentVolume"}:                                                {"pv"},
	{Version: "v1", Resource: "pods", Kind: "Pod"}:                                                                          {"po"},
	{Version: "v1", Resource: "replicationcontrollers", Kind: "ReplicationController"}:                                      {"rc"},
	{Version: "v1", Resource: "resourcequotas", Kind: "ResourceQuota"}:                                                      {"quota"},
	{Version: "v1", Resource: "secrets", Kind: "Secret"}:                                                                    nil,
	{Version: "v1", Resource: "serviceaccounts", Kind: "ServiceAccount"}:                                                    {"sa"},
	{Version: "v1", Resource: "services", Kind: "Service"}:                                                                  {"svc"},
	{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions", Kind: "CustomResourceDefinition"}: {"crd", "crds"},
	{Group: "apps", Version: "v1", Resource: "controllerrevisions", Kind: "ControllerRevision"}:                             nil,
	{Group: "apps", Version: "v1", Resource: "daemonsets", Kind: "DaemonSet"}:                                               {"ds"},
	{Group: "apps", Version: "v1", Resource: "deployments", Kind: "Deployment"}:                                             {"deploy"},
	{Group: "apps", Version: "v1", Resource: "replicasets", Kind: "ReplicaSet"}:                                             {"rs"},
	{Group: "apps", Version: "v1", Resource: "statefulsets", Kind: "StatefulSet"}:                                           {"sts"},
	{Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers", Kind: "HorizontalPodAutoscaler"}:            {"hpa"},
	{Group: "batch", Version: "v1", Resource: "cronjobs", Kind: "CronJob"}:                                                  {"cj"},
	{Group: "batch", Version: "v1", Resource: "jobs", Kind: "Job"}:                                                          nil,
	{Group: "networking.k8s.io", Version: "v1", Resource: "ingresses", Kind: "Ingress"}:                                     {"ing"},
	{Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies", Kind: "NetworkPolicy"}:                         {"netpol"},
	{Group: "policy", Version: "v1", Resource: "poddisruptionbudgets", Kind: "PodDisruptionBudget"}:                         {"pdb"},
	{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles", Kind: "ClusterRole"}:                      nil,
	{Group: "scheduling.k8s.io", Version: "v1", Resource: "priorityclasses", Kind: "PriorityClass"}:                         {"pc"},
	{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses", Kind: "StorageClass"}:                              {"sc"},
}

// A role cannot grant deploy, so the controller could not read the type that it takes deploy for. All such names are
// refused at once, with the right ones. With rules of their own, or without roles, users may write them.
func TestTypes_ByAnotherNameThanThePlural_AreRefusedByName(t *testing.T) {
	t.Parallel()
	var names, want []string
	for typ, shorts := range builtin {
		for _, name := range append(shorts, typ.Kind) {
			if strings.EqualFold(name, typ.Resource) {
				continue
			}
			filter, err := resource.NewFilter([]string{name}, nil)
			if err != nil || !filter.Match(typ) {
				t.Errorf("the controller does not take %s for %s: %v", name, typ, err)
			}
			names = append(names, name)
			want = append(want, strings.ToLower(name)+" is "+typ.Resource)
		}
	}
	names = append(names, "deploy.apps", "services", "gadgets")
	message := refused(t, "--set", "config.watchResourceTypes={"+strings.Join(names, ",")+"}")
	for _, w := range want {
		if !strings.Contains(message, w) {
			t.Errorf("the message lacks %q: %s", w, message)
		}
	}
	if strings.Contains(message, "services is") || strings.Contains(message, "gadgets") {
		t.Errorf("a plural, or what may be one, is refused: %s", message)
	}
	for _, args := range [][]string{
		{"--set", "config.watchResourceTypes={deploy,svc}", "--set", "rbac.create=false"},
		{"--set", "config.watchResourceTypes={deploy,svc}", "--set-json", `rbac.rules=[{"apiGroups":["*"],"resources":["*"],"verbs":["list","watch"]}]`},
	} {
		if got := environment(t, template(t, args...))["WATCH_RESOURCE_TYPES"]; got != "deploy,svc" {
			t.Errorf("%v: the controller is told %q", args, got)
		}
	}
}
