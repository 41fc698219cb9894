package controller_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write docs/resourcesyncconfig.md anew")

// fieldSchema is the part of an OpenAPI schema that the reference needs.
type fieldSchema struct {
	Description string                 `json:"description"`
	Type        string                 `json:"type"`
	Default     any                    `json:"default"`
	Enum        []string               `json:"enum"`
	Minimum     *float64               `json:"minimum"`
	Maximum     *float64               `json:"maximum"`
	Required    []string               `json:"required"`
	Items       *fieldSchema           `json:"items"`
	Properties  map[string]fieldSchema `json:"properties"`
}

func (s fieldSchema) kind() string {
	switch {
	case s.Type == "array":
		return "list of " + s.Items.Type + "s"
	case s.Minimum != nil && s.Maximum != nil:
		return fmt.Sprintf("%s, %g to %g", s.Type, *s.Minimum, *s.Maximum)
	case len(s.Enum) > 0:
		return strings.Join(s.Enum, " or ")
	}
	return s.Type
}

// rows writes a table row for each field, and for the fields of objects below it.
func rows(b *strings.Builder, prefix string, s fieldSchema) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[name]
		fallback := "*(none)*"
		switch {
		case slices.Contains(s.Required, name):
			fallback = "*(required)*"
		case f.Default != nil:
			fallback = fmt.Sprintf("`%v`", f.Default)
		}
		text := strings.NewReplacer("\n", " ", "*", `\*`, "<", `\<`).Replace(f.Description)
		fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, name, f.kind(), fallback, text)
		if f.Type == "object" {
			rows(b, prefix+name+".", f)
		}
	}
}

func TestReferenceIsUpToDate(t *testing.T) {
	const path, marker = "../../docs/resourcesyncconfig.md", "<!-- Written by hack/generate.sh from config/crd. -->\n"
	raw, err := os.ReadFile("../../config/crd/dot-ai.devopstoolkit.live_resourcesyncconfigs.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema fieldSchema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(raw, &definition); err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, part := range []string{"spec", "status"} {
		fmt.Fprintf(&want, "\n### %s\n\n| Field | Type | Default | Description |\n|---|---|---|---|\n", part)
		s := definition.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties[part]
		if len(s.Properties) < 5 {
			t.Fatalf("%s has %d fields", part, len(s.Properties))
		}
		rows(&want, "", s)
	}
	document, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, got, found := strings.Cut(string(document), marker)
	if !found {
		t.Fatalf("%s lacks its marker", path)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+marker+want.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want.String() {
		t.Errorf("%s is stale: run hack/generate.sh", path)
	}
}
