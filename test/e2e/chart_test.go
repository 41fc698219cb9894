//go:build e2e

package e2e

import (
	"bytes"
	"errors"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/controlplane"
)

const (
	root     = "../.."
	chartDir = root + "/charts/k8s-vectordb-sync"
	// chartNamespace is the namespace of the README.
	chartNamespace = "k8s-vectordb-sync-system"
)

// script runs a script of the repository that makes binaries and prints their directory, and returns that directory.
func script(t *testing.T, path string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, path), args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// render returns the manifest that the chart renders with these arguments of helm.
func render(t *testing.T, release, namespace string, args ...string) string {
	t.Helper()
	helm := filepath.Join(script(t, "hack/tools/install.sh", "helm"), "helm")
	cmd := exec.CommandContext(t.Context(), helm, append([]string{"template", release, chartDir, "--namespace", namespace, "--kube-version=v1.28.0"}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm template: %v\n%s", err, said.String())
	}
	return string(out)
}

// objects returns the objects of a manifest.
func objects(t *testing.T, manifest string) []unstructured.Unstructured {
	t.Helper()
	var all []unstructured.Unstructured
	for decoder := utilyaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096); ; {
		var o unstructured.Unstructured
		if err := decoder.Decode(&o); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("reading a manifest: %v", err)
		}
		if o.Object != nil {
			all = append(all, o)
		}
	}
}

// as returns an object as its type.
func as[T any](t *testing.T, o unstructured.Unstructured) T {
	t.Helper()
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &typed); err != nil {
		t.Fatalf("reading %s %s: %v", o.GetKind(), o.GetName(), err)
	}
	return typed
}

// grant is the smallest part of a permission: one verb on one resource of one group, in one namespace or in all.
type grant struct {
	role, namespace, verb, group, resource string
	names                                  string // separated by commas; empty for all
}

// covers tells whether this permission allows a request.
func (g grant) covers(e controlplane.AuditEvent) bool {
	resource := e.Resource
	if e.Subresource != "" {
		resource += "/" + e.Subresource
	}
	return g.verb == e.Verb && (g.group == "*" || g.group == e.Group) && (g.resource == "*" || g.resource == resource) &&
		(g.namespace == "" || g.namespace == e.Namespace) && (g.names == "" || strings.Contains(","+g.names+",", ","+e.Name+","))
}

// grants returns what a manifest's roles let a ServiceAccount do with resources.
func grants(t *testing.T, manifest, account string) []grant {
	t.Helper()
	rules := make(map[string][]rbacv1.PolicyRule) // by kind, namespace and name
	all := objects(t, manifest)
	for _, o := range all {
		if o.GetKind() == "ClusterRole" || o.GetKind() == "Role" {
			// A Role has the same fields.
			rules[o.GetKind()+"/"+o.GetNamespace()+"/"+o.GetName()] = as[rbacv1.ClusterRole](t, o).Rules
		}
	}
	var found []grant
	for _, o := range all {
		if !strings.HasSuffix(o.GetKind(), "RoleBinding") {
			continue
		}
		b := as[rbacv1.RoleBinding](t, o) // a ClusterRoleBinding has the same fields
		if len(b.Subjects) != 1 || b.Subjects[0].Name != account {
			t.Fatalf("%s binds %v, want %s alone", b.Name, b.Subjects, account)
		}
		namespace := ""
		if b.RoleRef.Kind == "Role" {
			namespace = b.Namespace
		}
		bound, there := rules[b.RoleRef.Kind+"/"+namespace+"/"+b.RoleRef.Name]
		if !there {
			t.Fatalf("%s binds %s, which is not there", b.Name, b.RoleRef.Name)
		}
		for _, rule := range bound {
			found = append(found, splitRule(rule, b.RoleRef.Name, b.Namespace)...)
		}
	}
	return found
}

func splitRule(rule rbacv1.PolicyRule, role, namespace string) []grant {
	var parts []grant
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				parts = append(parts, grant{
					role: role, namespace: namespace, verb: verb, group: group, resource: resource, names: strings.Join(rule.ResourceNames, ","),
				})
			}
		}
	}
	return parts
}
