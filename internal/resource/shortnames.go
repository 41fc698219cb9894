package resource

import (
	"maps"
	"slices"
)

// builtinShortNames are kubectl's short names for the types of Kubernetes itself, by group-resource. A server names
// them as well. But without asking it, filters mean the same on every replica from the start.
var builtinShortNames = map[string][]string{
	"certificatesigningrequests.certificates.k8s.io": {"csr"},
	"componentstatuses": {"cs"},
	"configmaps":        {"cm"},
	"cronjobs.batch":    {"cj"},
	"customresourcedefinitions.apiextensions.k8s.io": {"crd", "crds"},
	"daemonsets.apps":                        {"ds"},
	"deployments.apps":                       {"deploy"},
	"endpoints":                              {"ep"},
	"events":                                 {"ev"},
	"events.events.k8s.io":                   {"ev"},
	"horizontalpodautoscalers.autoscaling":   {"hpa"},
	"ingresses.networking.k8s.io":            {"ing"},
	"ipaddresses.networking.k8s.io":          {"ip"},
	"limitranges":                            {"limits"},
	"namespaces":                             {"ns"},
	"networkpolicies.networking.k8s.io":      {"netpol"},
	"nodes":                                  {"no"},
	"persistentvolumeclaims":                 {"pvc"},
	"persistentvolumes":                      {"pv"},
	"poddisruptionbudgets.policy":            {"pdb"},
	"pods":                                   {"po"},
	"priorityclasses.scheduling.k8s.io":      {"pc"},
	"replicasets.apps":                       {"rs"},
	"replicationcontrollers":                 {"rc"},
	"resourcequotas":                         {"quota"},
	"serviceaccounts":                        {"sa"},
	"services":                               {"svc"},
	"statefulsets.apps":                      {"sts"},
	"storageclasses.storage.k8s.io":          {"sc"},
	"volumeattributesclasses.storage.k8s.io": {"vac"},
}

// WithShortNames returns the filter with the short names that a server has reported, by [Type.GroupResource],
// beside those of Kubernetes itself. A short name that is a plural or a kind of some type names that type alone.
func (f Filter) WithShortNames(told map[string][]string) Filter {
	f.shorts = maps.Clone(told)
	return f
}

func (f Filter) shortNamesOf(t Type) []string {
	name := t.GroupResource()
	return slices.Concat(builtinShortNames[name], f.shorts[name])
}
