package discovery

import (
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// aliases maps a group-resource to the one that serves the same objects under another name. When both are wanted
// and served, only the latter is watched, because every object would otherwise be two documents. Versions of one
// group need no entry.
var aliases = map[schema.GroupResource]schema.GroupResource{
	// One storage, two APIs. People search for the older name.
	{Group: "events.k8s.io", Resource: "events"}: {Group: "", Resource: "events"},

	// One set of addresses, written twice. The older API is deprecated, and answers each request with a warning.
	{Group: "", Resource: "endpoints"}: {Group: "discovery.k8s.io", Resource: "endpointslices"},

	// Servers before 1.22 serve these resources in extensions as well.
	{Group: "extensions", Resource: "daemonsets"}:          {Group: "apps", Resource: "daemonsets"},
	{Group: "extensions", Resource: "deployments"}:         {Group: "apps", Resource: "deployments"},
	{Group: "extensions", Resource: "replicasets"}:         {Group: "apps", Resource: "replicasets"},
	{Group: "extensions", Resource: "ingresses"}:           {Group: "networking.k8s.io", Resource: "ingresses"},
	{Group: "extensions", Resource: "networkpolicies"}:     {Group: "networking.k8s.io", Resource: "networkpolicies"},
	{Group: "extensions", Resource: "podsecuritypolicies"}: {Group: "policy", Resource: "podsecuritypolicies"},

	// OpenShift serves projects and its RBAC as views of what Kubernetes stores.
	{Group: "project.openshift.io", Resource: "projects"}:                  {Group: "", Resource: "namespaces"},
	{Group: "authorization.openshift.io", Resource: "roles"}:               {Group: "rbac.authorization.k8s.io", Resource: "roles"},
	{Group: "authorization.openshift.io", Resource: "rolebindings"}:        {Group: "rbac.authorization.k8s.io", Resource: "rolebindings"},
	{Group: "authorization.openshift.io", Resource: "clusterroles"}:        {Group: "rbac.authorization.k8s.io", Resource: "clusterroles"},
	{Group: "authorization.openshift.io", Resource: "clusterrolebindings"}: {Group: "rbac.authorization.k8s.io", Resource: "clusterrolebindings"},
}
