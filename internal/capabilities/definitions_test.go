package capabilities

import (
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"sigs.k8s.io/yaml"
)

const definitionText = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: gadgets.example.com, generation: 1, labels: {helm: "1"}}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: gadgets, kind: Gadget}
  conversion: {strategy: Webhook, webhook: {clientConfig: {caBundle: aaaa}}}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}
  - {name: v0, served: false, storage: false, schema: {openAPIV3Schema: {type: object}}}
`

func definitionOf(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	o.SetGeneration(1) // YAML takes it for a number with a decimal point
	return o
}

// TestADefinitionIsWhatItServes: a scan costs time of an LLM, so only a change of a served schema causes one.
func TestADefinitionIsWhatItServes(t *testing.T) {
	t.Parallel()
	before := identityOf(definitionOf(t, definitionText).Object)
	for name, tt := range map[string]struct {
		old, now string
		same     bool
	}{
		"a label":                  {`helm: "1"`, `helm: "2"`, true},
		"a webhook's certificate":  {"caBundle: aaaa", "caBundle: bbbb", true},
		"a version nobody serves":  {"name: v0", "name: v00", true},
		"the schema":               {"openAPIV3Schema: {type: object}", "openAPIV3Schema: {type: object, properties: {a: {type: string}}}", false},
		"a version that is served": {"name: v1", "name: v2", false},
		"one version more":         {"name: v0, served: false", "name: v0, served: true", false},
		"its kind":                 {"kind: Gadget}", "kind: Widget}", false},
	} {
		changed := strings.Replace(definitionText, tt.old, tt.now, 1)
		if after := identityOf(definitionOf(t, changed).Object); changed == definitionText || (after == before) != tt.same {
			t.Errorf("%s: the same definition: %v, want %v", name, after == before, tt.same)
		}
	}
}

// TestDefinitionsAreReadWhenTheyHaveChanged: generations tell which definitions have to be read.
func TestDefinitionsAreReadWhenTheyHaveChanged(t *testing.T) {
	t.Parallel()
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{definitionResource: "CustomResourceDefinitionList"}, definitionOf(t, definitionText))
	generations, complete, inStep := map[string]int64{"gadgets.example.com": 1}, false, false
	d := NewDefinitions(client, func() (map[string]int64, bool) { return generations, complete }, func() bool { return inStep }, logr.Discard())
	reads := func() int { return len(client.Actions()) }
	if _, ok := d.Definitions(); ok {
		t.Error("definitions are told before the receivers are in step")
	}
	inStep = true
	if _, ok := d.Definitions(); ok || reads() > 0 {
		t.Error("definitions are told before they are known")
	}
	complete = true
	first, ok := d.Definitions()
	if !ok || len(first) != 1 || reads() != 1 {
		t.Fatalf("%v, %v after %d reads", first, ok, reads())
	}
	if again, ok := d.Definitions(); !ok || again["gadgets.example.com"] != first["gadgets.example.com"] || reads() != 1 {
		t.Errorf("%v, %v after %d reads, want the same without another", again, ok, reads())
	}
	generations["gadgets.example.com"] = 2
	if _, ok := d.Definitions(); !ok || reads() != 2 {
		t.Errorf("%d reads after a change, want 2", reads())
	}
	delete(generations, "gadgets.example.com")
	if gone, ok := d.Definitions(); !ok || len(gone) != 0 || reads() != 2 {
		t.Errorf("%v, %v after %d reads when it is gone", gone, ok, reads())
	}
}
