package plan

import (
	"encoding/json"
	"fmt"
	"io"

	"sigs.k8s.io/yaml"
)

// Outputs are what [Report.Write] can write; the empty one is a table.
func Outputs() []string { return []string{"", "wide", "json", "yaml"} }

// Write writes the report as a table, JSON or YAML.
func (r Report) Write(w io.Writer, output string) error {
	var (
		text []byte
		err  error
	)
	switch output {
	case "", "wide":
		r.Table(w, output == "wide")
		return nil
	case "json":
		text, err = json.MarshalIndent(r, "", "  ")
		text = append(text, '\n')
	case "yaml":
		text, err = yaml.Marshal(r)
	default:
		return fmt.Errorf("output %q is none, want json, yaml, wide or nothing for a table", output)
	}
	if err != nil {
		return fmt.Errorf("encoding the plan: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return fmt.Errorf("writing the plan: %w", err)
	}
	return nil
}
