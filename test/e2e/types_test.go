//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/workload"
)

// rewrite copies a file with one text in place of another, and returns the copy's path.
func rewrite(t *testing.T, path, old, text string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(content), old) {
		t.Fatalf("%s does not contain %s", path, old)
	}
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	if err := os.WriteFile(to, []byte(strings.ReplaceAll(string(content), old, text)), 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}

// widgets is a definition with these versions, the last of which is stored.
func widgets(versions ...string) string {
	var b strings.Builder
	b.WriteString(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, listKind: WidgetList, plural: widgets, singular: widget}
  versions:
`)
	for i, v := range versions {
		fmt.Fprintf(&b, "  - {name: %s, served: true, storage: %t, subresources: {status: {}}, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n",
			v, i == len(versions)-1)
	}
	return b.String()
}

// fill makes some widgets.
func fill(r *fleet.Rig, version string, n int) {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "---\n{apiVersion: example.com/%s, kind: Widget, metadata: {name: widget-%d, namespace: default, labels: {number: %q}}}\n", version, i, fmt.Sprint(i))
	}
	r.Apply(b.String())
}

func count(docs map[resource.ID]workload.Doc, part string) int {
	n := 0
	for id := range docs {
		if strings.Contains(string(id), part) {
			n++
		}
	}
	return n
}

// TestTypesComeAndGo is the story of types that are installed, changed and removed while a replica runs.
func TestTypesComeAndGo(t *testing.T) {
	beside(t, 30*time.Second)
	r := fleet.New(t, fleet.Options{})
	r.Kube("", "create", "configmap", "beside")
	p := r.Start(nil)
	p.WaitReady(time.Minute)
	r.WaitEqual(converge)

	const debounce, flush = time.Second, 500 * time.Millisecond
	r.Apply(widgets("v1beta1"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=30s", "crd/widgets.example.com")
	fill(r, "v1beta1", 40)
	took, _ := r.WaitEqual(5*time.Second + debounce + flush)
	t.Logf("a new type and its objects arrived after %v", took.Round(time.Millisecond))
	if n := count(r.Documents(), "/example.com/v1beta1/Widget/"); n != 40 {
		t.Fatalf("%d widgets at the receiver, want 40", n)
	}

	t.Run("a version that is served no longer moves the documents", func(t *testing.T) {
		r := r.In(t)
		mark := r.Mark()
		r.Apply(widgets("v1beta1", "v1")) // v1 is preferred, and the one in use goes on
		fleet.Pause(5 * time.Second)
		for id := range sent(r.Since(mark)) {
			if strings.Contains(string(id), "/Widget/") {
				t.Errorf("%s was sent although the version in use is served", id)
			}
		}
		r.Kube("", "patch", "crd", "widgets.example.com", "--type=json", `-p=[{"op": "replace", "path": "/spec/versions/0/served", "value": false}]`)
		fleet.Eventually(t, converge, func() string {
			if n := count(r.Documents(), "/example.com/v1/Widget/"); n != 40 {
				return fmt.Sprintf("%d widgets under v1, want 40", n)
			}
			return ""
		})
		took, _ := r.WaitEqual(converge)
		t.Logf("the old documents were gone %v later", took.Round(time.Millisecond))
		if n := count(r.Documents(), "/example.com/v1beta1/Widget/"); n != 0 {
			t.Errorf("%d widgets under v1beta1, want none", n)
		}
	})

	t.Run("an aggregated API that is down deletes nothing", func(t *testing.T) {
		down(t, r.In(t), p.In(t))
	})

	t.Run("a type that is removed takes its documents along", func(t *testing.T) {
		r := r.In(t)
		r.Kube("", "delete", "crd", "widgets.example.com")
		took, _ := r.WaitEqual(converge)
		t.Logf("gone after %v", took.Round(time.Millisecond))
		if n := count(r.Documents(), "/Widget/"); n != 0 {
			t.Errorf("%d widgets at the receiver, want none", n)
		}
	})
}

// down is the story of an aggregated API without a backend, for a running replica and for one that starts then.
func down(t *testing.T, r *fleet.Rig, p *fleet.Replica) {
	before, mark := r.Objects(), r.Mark()
	r.Apply(`
apiVersion: apiregistration.k8s.io/v1
kind: APIService
metadata: {name: v1.down.example.com}
spec: {group: down.example.com, version: v1, groupPriorityMinimum: 1000, versionPriority: 10, insecureSkipTLSVerify: true, service: {name: nowhere, namespace: default}}
`)
	says := func(p *fleet.Replica) string {
		d := p.Status().Discovery
		if d.Complete || len(d.Failed) != 1 || d.Failed[0].GroupVersion != "down.example.com/v1" {
			return fmt.Sprintf("the status does not say that down.example.com/v1 does not answer: %+v", d)
		}
		return ""
	}
	fleet.Eventually(t, converge, func() string { return says(p) })
	r.Kube("", "label", "configmap", "beside", "changed=meanwhile")
	beside := resource.ID("default/v1/ConfigMap/beside")
	fleet.Eventually(t, converge, func() string {
		if r.Documents()[beside].Labels["changed"] == "" {
			return "a change of another type does not arrive"
		}
		return ""
	})

	late := r.Start(nil)
	late.WaitReady(time.Minute)
	fleet.Eventually(t, converge, func() string { return says(late) })
	late.Stop(grace)

	diff := workload.Compare(before, r.Documents())
	if len(diff.Missing) > 0 {
		t.Errorf("documents are gone because an aggregated API is down: %v", diff)
	}
	for _, rec := range r.Since(mark) {
		if len(rec.Deletes) > 0 {
			t.Errorf("%v was deleted because an aggregated API is down", rec.Deletes)
		}
	}
	r.Kube("", "delete", "apiservice", "v1.down.example.com")
	fleet.Eventually(t, converge, func() string {
		if d := p.Status().Discovery; !d.Complete {
			return fmt.Sprintf("discovery is still incomplete: %+v", d)
		}
		return ""
	})
	r.WaitEqual(converge)
}
