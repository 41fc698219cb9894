package chart_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const managerRole = "ClusterRole/k8s-vectordb-sync-manager-role"

func rule(group string, resources ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: []string{"list", "watch"}}
}

var (
	discoveryRules = []rbacv1.PolicyRule{
		rule("apiextensions.k8s.io", "customresourcedefinitions"),
		rule("apiregistration.k8s.io", "apiservices"),
	}
	clusterRule = rbacv1.PolicyRule{
		APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{"kube-system"}, Verbs: []string{"get"},
	}
	everything = []rbacv1.PolicyRule{rule("*", "*"), clusterRule}
)

func TestPermissionsAreThoseOfTheWatchedTypes(t *testing.T) {
	t.Parallel()
	narrowed := func(rules ...rbacv1.PolicyRule) []rbacv1.PolicyRule {
		return append(slices.Concat(rules, discoveryRules), clusterRule)
	}
	for types, want := range map[string][]rbacv1.PolicyRule{
		"":                       everything,
		",":                      everything,
		"deployments":            narrowed(rule("*", "deployments")),
		"Deployments, services":  narrowed(rule("*", "deployments", "services")),
		"deployments.apps":       narrowed(rule("apps", "deployments")),
		"deployments.v1.apps":    narrowed(rule("apps", "deployments")),
		"pods.v1,secrets.core":   narrowed(rule("", "pods", "secrets")),
		"foos.v1beta1.a.example": narrowed(rule("a.example", "foos")),
		"vips.v1x.example":       narrowed(rule("v1x.example", "vips")),
		"*.example.com,pods":     narrowed(rule("*", "pods"), rule("example.com", "*")),
		"dep*.apps":              narrowed(rule("apps", "*")),
		"*":                      everything,
		"dep*":                   everything,
		"pods,*.*.com":           everything,
		"pods.*":                 everything,
		"pods,pods,pods.v1":      narrowed(rule("", "pods"), rule("*", "pods")),
	} {
		m := template(t, values(t, "config: {watchResourceTypes: '"+types+"'}")...)
		got := decode[rbacv1.ClusterRole](t, m, managerRole).Rules
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("watchResourceTypes=%q: rules (-want +got):\n%s", types, diff)
		}
	}
}

// A pattern of plurals becomes a role, which must allow every type that the pattern matches. Otherwise the
// controller would watch types that it may not read.
func TestPermissionsCoverWhateverThePatternsMatch(t *testing.T) {
	t.Parallel()
	types := []resource.Type{
		{Version: "v1", Resource: "pods"}, {Version: "v1", Resource: "secrets"},
		{Group: "apps", Version: "v1", Resource: "deployments"}, {Group: "apps", Version: "v1beta2", Resource: "deployments"},
		{Group: "metrics.k8s.io", Version: "v1beta1", Resource: "pods"},
		{Group: "example.com", Version: "v1alpha1", Resource: "widgets"}, {Group: "sub.example.com", Version: "v2", Resource: "widgets"},
		{Group: "core.example.com", Version: "v1", Resource: "v1s"},
	}
	matched := 0
	for _, pattern := range []string{
		"pods", "pods.v1", "pods.core", "pods.v1.core", "pods.metrics.k8s.io", "PODS", "deployments.v1beta2.apps", "deployments.apps", "dep*.apps",
		"*.apps", "*.v1.apps", "*.core", "*.v1", "*", "p*", "*.example.com", "*.sub.example.com", "*.*.example.com", "widgets.*.example.com",
		"widgets.v*.example.com", "widgets.v2.sub.example.com", "v1s", "v1s.core.example.com", "*.v1.core.example.com", "*.v1*",
	} {
		filter, err := resource.NewFilter([]string{pattern}, nil)
		if err != nil {
			t.Fatal(err)
		}
		rules := decode[rbacv1.ClusterRole](t, template(t, "--set", "config.watchResourceTypes={"+pattern+"}"), managerRole).Rules
		for _, typ := range types {
			if !filter.Match(typ) {
				continue
			}
			matched++
			if !slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
				return len(r.ResourceNames) == 0 && allows(r.APIGroups, typ.Group) && allows(r.Resources, typ.Resource)
			}) {
				t.Errorf("pattern %s matches %s, which the role does not allow: %v", pattern, typ, rules)
			}
		}
	}
	if matched < 40 {
		t.Errorf("the patterns matched %d times: too little was tested", matched)
	}
}

func allows(list []string, value string) bool {
	return slices.Contains(list, "*") || slices.Contains(list, value)
}

// The controller only reads the objects that it watches. Other verbs are for its own namespace, for reviews, and for
// the status of declared receivers.
func TestRoles_OutsideTheNamespace_WriteOnlyReviewsAndStatuses(t *testing.T) {
	t.Parallel()
	written := map[string][]string{
		"create": {"tokenreviews", "subjectaccessreviews", "events"},
		"patch":  {"resourcesyncconfigs/status", "events"},
	}
	for name, variant := range variants {
		for _, o := range template(t, values(t, variant)...) {
			if o.GetKind() != "ClusterRole" {
				continue
			}
			for _, r := range decode[rbacv1.ClusterRole](t, manifests{o}, key(o)).Rules {
				for _, verb := range r.Verbs {
					if slices.Contains([]string{"get", "list", "watch"}, verb) || len(r.NonResourceURLs) > 0 {
						continue
					}
					for _, resource := range r.Resources {
						if !slices.Contains(written[verb], resource) {
							t.Errorf("%s: %s allows %s on %s", name, key(o), verb, resource)
						}
					}
				}
			}
		}
	}
}

func TestEveryBindingLeadsFromTheControllerToARole(t *testing.T) {
	t.Parallel()
	for name, variant := range variants {
		m := template(t, values(t, variant)...)
		account := statefulSet(t, m).Spec.Template.Spec.ServiceAccountName
		const scraper = "ClusterRoleBinding/k8s-vectordb-sync-metrics-scraper"
		for _, o := range m {
			if !strings.HasSuffix(o.GetKind(), "RoleBinding") {
				continue
			}
			// Both kinds of bindings have the same fields.
			b := decode[rbacv1.ClusterRoleBinding](t, manifests{o}, key(o))
			if m.find(b.RoleRef.Kind+"/"+b.RoleRef.Name) == nil {
				t.Errorf("%s: %s binds %s, which is not there", name, key(o), b.RoleRef.Name)
			}
			if s := b.Subjects[0]; key(o) == scraper && s.Name == "k8s-vectordb-sync-metrics-scraper" && s.Namespace == namespace {
				continue
			}
			if s := b.Subjects[0]; s.Kind != "ServiceAccount" || s.Name != account || s.Namespace != namespace {
				t.Errorf("%s: %s binds %v, want the controller's account %s", name, key(o), s, account)
			}
		}
	}
}

func TestReviewsAreAllowedOnlyWhereSomethingIsReviewed(t *testing.T) {
	t.Parallel()
	for set, want := range map[string]bool{
		"config.metricsSecure=true":                             true,
		"config.metricsSecure=false":                            false,
		"config.metricsSecure=false,config.apiAuth=true":        true,
		"config.metricsBindAddress=0":                           false,
		"config.metricsBindAddress=0,config.apiAuth=true":       true,
		"config.metricsBindAddress=0,config.apiAuth=false":      false,
		"config.metricsSecure=true,config.apiAuth=true":         true,
		"config.metricsSecure=false,config.debugEndpoints=true": true,
	} {
		if got := template(t, "--set", set).find("ClusterRole/k8s-vectordb-sync-metrics-auth-role") != nil; got != want {
			t.Errorf("%s: the role for reviews is there: %v, want %v", set, got, want)
		}
	}
}

func TestDebugEndpoints_On_ChartHasARoleForReaders(t *testing.T) {
	t.Parallel()
	const role = "ClusterRole/k8s-vectordb-sync-debug-reader"
	if template(t).find(role) != nil {
		t.Error("there is a role for what is off")
	}
	m := template(t, "--set", "config.debugEndpoints=true")
	if m.find(role) == nil || environment(t, m)["DEBUG_ENDPOINTS"] != "true" {
		t.Errorf("the environment is %v, and the role is %v", environment(t, m), m.find(role))
	}
	for set, want := range map[string]string{
		"config.debugEndpoints=true,config.metricsBindAddress=0":                     "which turns them off",
		"config.debugEndpoints=true,rbac.namespaced=true,config.watchNamespaces={a}": "it cannot go with rbac.namespaced",
		"config.debugEndpoints=maybe":                                                "boolean",
	} {
		if message := refused(t, "--set", set); !strings.Contains(message, want) {
			t.Errorf("%s: message %q, want %q in it", set, message, want)
		}
	}
}

// The roles of the kustomize manifests are made from the chart.
func TestKustomizeRolesAreUpToDate(t *testing.T) {
	t.Parallel()
	var roles manifests
	for _, o := range template(t) {
		if o.GroupVersionKind().Group == rbacv1.GroupName {
			o.SetLabels(kustomizeLabels())
			roles = append(roles, o)
		}
	}
	upToDate(t, root+"/config/rbac/rbac.yaml", append([]byte("# Written from the chart by `hack/chart-test.sh -update`. Do not edit.\n"), roles.yaml(t)...))
}

// kustomizeLabels are the labels of every object of the kustomize manifests.
func kustomizeLabels() map[string]string {
	return map[string]string{
		"app.kubernetes.io/name":     "k8s-vectordb-sync",
		"app.kubernetes.io/instance": "k8s-vectordb-sync",
		"app.kubernetes.io/part-of":  "k8s-vectordb-sync",
	}
}

// upToDate fails the test if the file has other contents; with -update it writes the file.
func upToDate(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil { // a file of the repository
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s is stale: run `hack/chart-test.sh -update`; (-want +got):\n%s", path, cmp.Diff(string(want), string(got)))
	}
}
