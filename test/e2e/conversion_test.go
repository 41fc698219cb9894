//go:build e2e

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/testing/fleet"
)

// converter is a conversion webhook that can be broken.
type converter struct {
	*httptest.Server
	broken atomic.Bool
	asked  atomic.Int64
}

func newConverter(t *testing.T) *converter {
	t.Helper()
	c := &converter{}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(c.convert))
	t.Cleanup(c.Close)
	return c
}

// convert answers an API server: the versions of these types differ only in their names.
func (c *converter) convert(w http.ResponseWriter, r *http.Request) {
	c.asked.Add(1)
	var review apiextensionsv1.ConversionReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil || c.broken.Load() {
		http.Error(w, "out of order", http.StatusInternalServerError)
		return
	}
	answer := &apiextensionsv1.ConversionResponse{UID: review.Request.UID, Result: metav1.Status{Status: metav1.StatusSuccess}}
	for _, raw := range review.Request.Objects {
		var o unstructured.Unstructured
		if err := json.Unmarshal(raw.Raw, &o.Object); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		o.SetAPIVersion(review.Request.DesiredAPIVersion)
		answer.ConvertedObjects = append(answer.ConvertedObjects, runtime.RawExtension{Object: &o})
	}
	review.Request, review.Response = nil, answer
	_ = json.NewEncoder(w).Encode(review)
}

// converted is a definition of three versions. The one in the middle is stored, and the highest is preferred.
func (c *converter) converted(plural, kind, scope string) string {
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	const version = "  - {name: %s, served: true, storage: %t, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}\n"
	return fmt.Sprintf(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %[1]s.converted.example.org}
spec:
  group: converted.example.org
  scope: %[3]s
  names: {kind: %[2]s, listKind: %[2]sList, plural: %[1]s}
  conversion:
    strategy: Webhook
    webhook: {conversionReviewVersions: [v1], clientConfig: {url: %[4]q, caBundle: %[5]s}}
  versions:
`, plural, kind, scope, c.URL+"/convert", base64.StdEncoding.EncodeToString(ca)) +
		fmt.Sprintf(version, "v1alpha1", false) + fmt.Sprintf(version, "v1beta1", true) + fmt.Sprintf(version, "v1", false)
}

// TestABrokenConversionDeletesNothing is the story of types whose preferred version exists only through a webhook.
// The webhook works, fails, and comes back, and then the preferred version is given up.
func TestABrokenConversionDeletesNothing(t *testing.T) {
	beside(t, 30*time.Second)
	whisperer := fleet.New(t, fleet.Options{})
	dotAI := whisperer.Speaking(fleet.DotAI)
	views := []*fleet.Rig{whisperer, dotAI}
	equal := func() {
		t.Helper()
		for _, r := range views {
			r.WaitEqual(2 * converge)
		}
	}
	c := newConverter(t)
	r := whisperer
	r.Kube("", "create", "configmap", "beside")
	first := r.Start(map[string]string{"RING_NAME": "whisperer"})
	second := dotAI.Start(map[string]string{"RING_NAME": "dot-ai"})
	first.WaitReady(time.Minute)
	second.WaitReady(time.Minute)

	r.Apply(c.converted("gadgets", "Gadget", "Namespaced"))
	r.Apply(c.converted("stations", "Station", "Cluster"))
	r.Kube("", "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	object := func(version, kind, name, label string) string {
		return fmt.Sprintf("---\n{apiVersion: converted.example.org/%s, kind: %s, metadata: {name: %s, labels: {of: %s}, annotations: {description: %q}}}\n", version, kind, name, label, "größer als "+name)
	}
	all := ""
	for i := range 20 {
		all += object("v1beta1", "Gadget", fmt.Sprintf("gadget-%d", i), "one") + object("v1alpha1", "Station", fmt.Sprintf("station-%d", i), "one")
	}
	r.Apply(all)
	equal()
	if c.asked.Load() == 0 {
		t.Fatal("the webhook was never asked")
	}
	id := func(version, name string) resource.ID {
		return resource.ID("default/converted.example.org/" + version + "/Gadget/" + name)
	}
	if n := count(r.Documents(), "/converted.example.org/v1/"); n != 40 {
		t.Fatalf("%d converted documents, want 40", n)
	}

	c.broken.Store(true)
	mark := r.Mark()
	r.Apply(object("v1beta1", "Gadget", "gadget-0", "two")) // the stored version needs no conversion
	r.Kube("", "delete", "gadgets.v1beta1.converted.example.org", "gadget-1")
	late := dotAI.Start(map[string]string{"RING_NAME": "dot-ai"})
	late.WaitReady(time.Minute)
	// A running watch shows nothing, because the API server sends nothing in it; a list fails.
	fleet.Eventually(t, converge, func() string { return unconverted(late, "gadgets.v1.converted.example.org") })
	r.Kube("", "label", "configmap", "beside", "changed=meanwhile")
	for _, view := range views {
		fleet.Eventually(t, converge, func() string {
			if view.Documents()["default/v1/ConfigMap/beside"].Labels["changed"] == "" {
				return "a change of another type does not arrive"
			}
			return ""
		})
		if n := count(view.Documents(), "/converted.example.org/v1/"); n != 40 {
			t.Errorf("%d documents are left of 40 while the webhook is out of order", n)
		}
	}
	for _, rec := range r.Since(mark) {
		if len(rec.Deletes) > 0 {
			t.Errorf("%v was deleted because a webhook is out of order", rec.Deletes)
		}
	}

	c.broken.Store(false)
	equal()
	for _, view := range views {
		docs := view.Documents()
		if docs[id("v1", "gadget-0")].Labels["of"] != "two" {
			t.Error("a change that was made while the webhook was out of order is lost")
		}
		if _, there := docs[id("v1", "gadget-1")]; there {
			t.Error("what was deleted while the webhook was out of order is still there")
		}
	}

	r.Kube("", "patch", "crd", "gadgets.converted.example.org", "--type=json", `-p=[{"op": "replace", "path": "/spec/versions/2/served", "value": false}]`)
	for _, view := range views {
		fleet.Eventually(t, converge, func() string {
			if n, old := count(view.Documents(), "/converted.example.org/v1beta1/Gadget/"), count(view.Documents(), "/converted.example.org/v1/Gadget/"); n != 19 || old != 0 {
				return fmt.Sprintf("%d gadgets under v1beta1 and %d under v1, want 19 and none", n, old)
			}
			return ""
		})
	}
	equal()
}

// unconverted says what is missing if a replica does not report that it cannot read a type.
func unconverted(p *fleet.Replica, name string) string {
	for _, typ := range p.Status().Types {
		if typ.Name == name {
			if typ.Phase == "failing" {
				return ""
			}
			return fmt.Sprintf("%s is %s: %q", name, typ.Phase, typ.Error)
		}
	}
	return name + " is not in the status"
}
