package workload

import (
	_ "embed" // for templates.yaml
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

//go:embed templates.yaml
var templatesYAML []byte

// template is the template of the objects of one type.
type template struct {
	Type resource.Type `json:"-"`
	// Resource and Namespaced are the parts of Type that an object does not show.
	Resource   string `json:"resource"`
	Namespaced bool   `json:"namespaced"`
	// Weight is the type's share of all objects.
	Weight int `json:"weight"`
	// Status is a field of the status that may be written without changing what the receiver holds, or empty.
	Status string `json:"status"`
	// Owner is the plural name of the type that owns objects of this one, or empty.
	Owner string `json:"owner"`
	// GenerateName leaves the name to the server.
	GenerateName bool `json:"generateName"`
	// Event marks events, which must name an object of their own namespace.
	Event bool `json:"event"`
	// Object is an object without metadata.
	Object map[string]any `json:"object"`
}

// templates returns the templates of the built-in types and those of the custom types, owners before their objects.
func templates() ([]template, error) {
	var all []template
	if err := yaml.UnmarshalStrict(templatesYAML, &all); err != nil {
		return nil, fmt.Errorf("reading the templates: %w", err)
	}
	for i := range all {
		t := &all[i]
		apiVersion, _ := t.Object["apiVersion"].(string)
		gv, err := schema.ParseGroupVersion(apiVersion)
		if err != nil {
			return nil, fmt.Errorf("reading the template of %s: %w", t.Resource, err)
		}
		kind, _ := t.Object["kind"].(string)
		t.Type = resource.Type{Group: gv.Group, Version: gv.Version, Resource: t.Resource, Kind: kind, Namespaced: t.Namespaced}
		normalise(t.Object)
	}
	for _, c := range customTypes() {
		all = append(all, c.template())
	}
	return all, nil
}

// normalise turns whole numbers, which the decoder makes float64, into int64, which deep copies require.
func normalise(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = normalise(e)
		}
	case []any:
		for i, e := range v {
			v[i] = normalise(e)
		}
	case float64:
		return int64(v)
	}
	return v
}

// singular makes part of an object's name from its kind.
func singular(t resource.Type) string { return strings.ToLower(t.Kind) }
