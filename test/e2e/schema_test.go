//go:build e2e

package e2e

import (
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// example returns a value for a schema, with only the required parts. A schema may demand more than its structure
// says, such as a pattern or a rule; then the API server refuses the value.
func example(s *apiextensionsv1.JSONSchemaProps) any {
	switch {
	case len(s.Enum) > 0:
		return jsonValue(s.Enum[0])
	case s.XIntOrString:
		return int64(80)
	}
	switch s.Type {
	case "object":
		o := make(map[string]any)
		required := s.Required
		for _, alternatives := range [][]apiextensionsv1.JSONSchemaProps{s.OneOf, s.AnyOf} {
			if len(alternatives) > 0 {
				required = append(required, alternatives[0].Required...)
			}
		}
		for _, name := range required {
			p, ok := s.Properties[name]
			if !ok {
				continue
			}
			o[name] = example(&p)
		}
		for name := int64(0); s.MinProperties != nil && int64(len(o)) < *s.MinProperties && s.AdditionalProperties != nil && name < 3; name++ {
			o["key"+string(rune('a'+name))] = example(s.AdditionalProperties.Schema)
		}
		return o
	case "array":
		var items []any
		for s.MinItems != nil && int64(len(items)) < *s.MinItems {
			items = append(items, example(s.Items.Schema))
		}
		if items == nil {
			return []any{}
		}
		return items
	case "integer", "number":
		if s.Minimum != nil {
			return int64(*s.Minimum)
		}
		return int64(1)
	case "boolean":
		return true
	case "string":
		return text(s)
	}
	return map[string]any{}
}

func text(s *apiextensionsv1.JSONSchemaProps) string {
	v := "example"
	switch {
	case s.Format == "date-time":
		v = "2026-02-20T10:00:00Z"
	case strings.Contains(s.Pattern, "ms|s|m|h") || strings.Contains(s.Pattern, "(h|m|s"), strings.Contains(s.Pattern, "[hms]"):
		v = "30s"
	case s.Format == "byte":
		v = "ZXhhbXBsZQ=="
	}
	if s.MinLength != nil && int64(len(v)) < *s.MinLength {
		v += strings.Repeat("x", int(*s.MinLength)-len(v))
	}
	if s.MaxLength != nil && int64(len(v)) > *s.MaxLength {
		v = v[:*s.MaxLength]
	}
	return v
}

func jsonValue(j apiextensionsv1.JSON) any {
	return strings.Trim(string(j.Raw), `"`) // all enumerations that occur here are of strings
}
