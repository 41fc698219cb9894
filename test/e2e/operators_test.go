//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// TestObjectsOfRealOperatorsArrive installs the definitions of Argo CD, cert-manager, Crossplane, the Gateway API
// and the Prometheus Operator while two fleets run, one for each receiver. It makes objects by their schemas, with
// every kind of metadata, and removes them again.
func TestObjectsOfRealOperatorsArrive(t *testing.T) {
	beside(t, 50*time.Second)
	definitions := script(t, "hack/crds/ensure.sh")
	whisperer := fleet.New(t, fleet.Options{})
	dotAI := whisperer.Speaking(fleet.DotAI)
	views := []*fleet.Rig{whisperer, dotAI}
	whisperer.Start(map[string]string{"RING_NAME": "whisperer"}).WaitReady(time.Minute)
	dotAI.Start(map[string]string{"RING_NAME": "dot-ai"}).WaitReady(time.Minute)
	equal := func(what string) {
		t.Helper()
		for _, r := range views {
			took, n := r.WaitEqual(2 * converge)
			t.Logf("%s: %d objects equal after %v", what, n, took.Round(time.Millisecond))
		}
	}

	whisperer.Kube("", "apply", "--server-side", "-R", "-f", definitions)
	whisperer.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	made := instances(t, whisperer, definitions)
	equal("made")
	for _, r := range views {
		docs := r.Documents()
		for _, id := range made {
			if _, there := docs[id]; !there {
				t.Errorf("%s is not at the receiver", id)
			}
		}
	}

	// An object with a finalizer stays until the finalizer is removed.
	application := resource.ID("default/argoproj.io/v1alpha1/Application/finalized")
	whisperer.Kube("", "delete", "applications.argoproj.io", "-n", "default", "--all", "--wait=false")
	for _, r := range views {
		fleet.Eventually(t, converge, func() string {
			if n := count(r.Documents(), "/argoproj.io/v1alpha1/Application/"); n != 1 {
				return fmt.Sprintf("%d applications at the receiver, want 1", n)
			}
			return ""
		})
		if _, there := r.Documents()[application]; !there {
			t.Errorf("%s is gone before its finalizer", application)
		}
	}
	whisperer.Kube("", "patch", "applications.argoproj.io", "finalized", "-n", "default", "--type=json", `-p=[{"op": "remove", "path": "/metadata/finalizers"}]`)
	equal("a finalizer gone")

	// An operator is uninstalled: its definitions and documents go, except for objects that still have a finalizer.
	kept := slices.DeleteFunc(made, func(id resource.ID) bool {
		return !strings.Contains(string(id), "cert-manager.io/") || !strings.HasSuffix(string(id), "/finalized")
	})
	if len(kept) == 0 {
		t.Error("no object of cert-manager has a finalizer")
	}
	whisperer.Kube("", "delete", "--wait=false", "-R", "-f", filepath.Join(definitions, "cert-manager"))
	for _, r := range views {
		fleet.Eventually(t, converge, func() string {
			if n := count(r.Documents(), "cert-manager.io/v1/"); n != len(kept) {
				return fmt.Sprintf("%d documents of cert-manager, want %d", n, len(kept))
			}
			return ""
		})
		for _, id := range kept {
			if _, there := r.Documents()[id]; !there {
				t.Errorf("%s is gone before its finalizer", id)
			}
		}
	}
	for _, id := range kept {
		part := strings.Split(string(id), "/") // namespace, group, version, kind, name
		args := []string{"patch", strings.ToLower(part[3]) + "." + part[2] + "." + part[1], part[4], "--type=json", `-p=[{"op": "remove", "path": "/metadata/finalizers"}]`}
		if part[0] != "_cluster" {
			args = append(args, "-n", part[0])
		}
		whisperer.Kube("", args...)
	}
	whisperer.Kube("", "wait", "--for=delete", "--timeout=60s", "-R", "-f", filepath.Join(definitions, "cert-manager"))
	equal("cert-manager gone")
	for _, r := range views {
		if n := count(r.Documents(), "cert-manager.io/v1/"); n != 0 {
			t.Errorf("%d documents of cert-manager are left", n)
		}
	}
}

// instances makes objects of all types that the definitions declare, and returns their IDs.
func instances(t *testing.T, r *fleet.Rig, dir string) []resource.ID {
	t.Helper()
	client, err := dynamic.NewForConfig(r.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var made []resource.ID
	var refused []string
	byOperator := make(map[string]int)
	for i, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects(t, string(content)) {
			m := maker{t: t, client: client, definition: as[apiextensionsv1.CustomResourceDefinition](t, o)}
			ids, err := m.make(traits[i%len(traits)])
			if err != nil {
				refused = append(refused, fmt.Sprintf("%s: %v", m.definition.Name, err))
				continue
			}
			byOperator[filepath.Base(filepath.Dir(file))]++
			made = append(made, ids...)
		}
	}
	t.Logf("%d objects of %d types, by operator %v; %d types want more than their schema says: %v",
		len(made), len(files)-len(refused), byOperator, len(refused), refused)
	if len(byOperator) < 5 || len(refused) > len(files)/3 {
		t.Errorf("%d of %d types could not be made: too little was tested", len(refused), len(files))
	}
	return made
}

// trait makes the metadata of an object special.
type trait struct {
	name  string
	apply func(o *unstructured.Unstructured)
}

// traits are the kinds of metadata. Each definition gets one of them in turn, beside a plain object.
var traits = []trait{
	{"long", func(o *unstructured.Unstructured) { // a name of 253 characters
		o.SetName(strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 63) + "." + strings.Repeat("d", 61))
	}},
	{"labelled", func(o *unstructured.Unstructured) { // many labels, as long as they may be
		labels := make(map[string]string)
		for i := range 100 {
			key := fmt.Sprintf("label-%03d", i)
			labels[strings.Repeat("p", 63)+".example.com/"+key+strings.Repeat("k", 63-len(key))] = fmt.Sprintf("%03d", i) + strings.Repeat("v", 60)
		}
		o.SetLabels(labels)
	}},
	{"annotated", func(o *unstructured.Unstructured) { // as many bytes as annotations may have
		o.SetAnnotations(map[string]string{
			"description": strings.Repeat("База данных 数据库 🗄 ", 200), "team.example.com/description": "“naïve”\n\ttabs & <tags>\u2028\x01",
			"example.com/blob": strings.Repeat("0123456789abcdef", 15<<10),
		})
	}},
	{"finalized", func(o *unstructured.Unstructured) { o.SetFinalizers([]string{"example.com/kept"}) }},
	{"generated", func(o *unstructured.Unstructured) {
		o.SetName("")
		o.SetGenerateName("generated-")
	}},
	{"owned", func(o *unstructured.Unstructured) {
		controller := true
		o.SetOwnerReferences([]metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "nobody", UID: "00000000-0000-0000-0000-000000000001", Controller: &controller}})
	}},
}

// maker makes objects of one definition.
type maker struct {
	t          *testing.T
	client     dynamic.Interface
	definition apiextensionsv1.CustomResourceDefinition
}

// make makes a plain object and one with a trait, in the stored version. Their IDs have the preferred version, which
// may be another one.
func (m maker) make(special trait) ([]resource.ID, error) {
	spec := m.definition.Spec
	i := slices.IndexFunc(spec.Versions, func(v apiextensionsv1.CustomResourceDefinitionVersion) bool { return v.Storage })
	stored := spec.Versions[i]
	var ids []resource.ID
	plain := trait{"plain", func(*unstructured.Unstructured) {}}
	kinds := []trait{plain, special}
	if spec.Names.Kind == "Application" {
		kinds = slices.Concat(traits, kinds[:1])
	}
	for _, tr := range kinds {
		value, _ := example(stored.Schema.OpenAPIV3Schema).(map[string]any)
		if value == nil {
			value = make(map[string]any)
		}
		o := &unstructured.Unstructured{Object: maps.Clone(value)}
		delete(o.Object, "status")
		o.SetAPIVersion(spec.Group + "/" + stored.Name)
		o.SetKind(spec.Names.Kind)
		o.SetName(tr.name)
		tr.apply(o)
		typ := resource.Type{Group: spec.Group, Version: preferred(spec.Versions), Resource: spec.Names.Plural, Kind: spec.Names.Kind, Namespaced: spec.Scope == apiextensionsv1.NamespaceScoped}
		var into dynamic.ResourceInterface = m.client.Resource(schema.GroupVersionResource{Group: spec.Group, Version: stored.Name, Resource: spec.Names.Plural})
		namespace := ""
		if typ.Namespaced {
			namespace = "default"
			into = m.client.Resource(schema.GroupVersionResource{Group: spec.Group, Version: stored.Name, Resource: spec.Names.Plural}).Namespace(namespace)
		}
		created, err := into.Create(m.t.Context(), o, metav1.CreateOptions{})
		if err != nil {
			return nil, err
		}
		ids = append(ids, typ.ID(namespace, created.GetName()))
	}
	return ids, nil
}

// preferred is the version that the API server prefers of those that are served: the most stable, then the highest.
func preferred(versions []apiextensionsv1.CustomResourceDefinitionVersion) string {
	best := ""
	for _, v := range versions {
		if v.Served && (best == "" || stability(v.Name) > stability(best) || stability(v.Name) == stability(best) && v.Name > best) {
			best = v.Name
		}
	}
	return best
}

func stability(version string) int {
	switch {
	case strings.Contains(version, "alpha"):
		return 0
	case strings.Contains(version, "beta"):
		return 1
	}
	return 2
}
