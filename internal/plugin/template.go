package plugin

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"
)

// customColumns is the format that names its columns: custom-columns=HEADER:.path,...
const customColumns = "custom-columns="

// lister is a report with rows, for the outputs that print one line for each.
type lister interface {
	// items returns the rows, a slice of values with a JSON form, and the names that -o name prints.
	items() (rows any, names []string)
}

// templated tells whether a format is one of kubectl's templates.
func templated(format string) bool {
	for _, f := range genericclioptions.NewKubeTemplatePrintFlags().AllowedFormats() {
		if strings.HasPrefix(format, f+"=") {
			return true
		}
	}
	return false
}

func templatePrinter(format string) (printers.ResourcePrinter, error) {
	p, err := genericclioptions.NewKubeTemplatePrintFlags().ToPrinter(format)
	if err != nil {
		return nil, fmt.Errorf("reading the template of %s: %w", format, err)
	}
	return p, nil
}

// renderTemplate prints a value by a jsonpath or a template of Go.
func renderTemplate(w io.Writer, format string, v any) error {
	p, err := templatePrinter(format)
	if err != nil {
		return err
	}
	plain, err := plainOf(v)
	if err != nil {
		return err
	}
	object, ok := plain.(map[string]any)
	if !ok {
		return fmt.Errorf("printing %T by a template: it is no object", v)
	}
	if err := p.PrintObj(&unstructured.Unstructured{Object: object}, w); err != nil {
		return fmt.Errorf("printing by %s: %w", format, err)
	}
	return nil
}

// plainOf returns a value as its JSON describes it.
func plainOf(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	var plain any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, fmt.Errorf("decoding JSON: %w", err)
	}
	return plain, nil
}

// column is one of custom-columns.
type column struct {
	header string
	path   *jsonpath.JSONPath
}

// parseColumns reads HEADER:.path,... as kubectl does. A path may lack the braces and the dot.
func parseColumns(format string) ([]column, error) {
	var columns []column
	for part := range strings.SplitSeq(strings.TrimPrefix(format, customColumns), ",") {
		header, path, found := strings.Cut(part, ":")
		if !found || header == "" || path == "" {
			return nil, fmt.Errorf("column %q is none, want HEADER:.path", part)
		}
		path, err := relaxed(path)
		if err != nil {
			return nil, err
		}
		p := jsonpath.New(header).AllowMissingKeys(true)
		if err := p.Parse(path); err != nil {
			return nil, fmt.Errorf("reading the path of column %s: %w", header, err)
		}
		columns = append(columns, column{header, p})
	}
	return columns, nil
}

func relaxed(path string) (string, error) {
	path = strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}")
	if strings.ContainsAny(path, "{}") {
		return "", fmt.Errorf("path %q has braces within, want .path", path)
	}
	return "{." + strings.TrimPrefix(path, ".") + "}", nil
}

// renderColumns prints a line for each row, or one for the whole value where there are no rows.
func renderColumns(w io.Writer, format string, v any) error {
	columns, err := parseColumns(format)
	if err != nil {
		return err
	}
	rows := any([]any{v})
	if l, ok := v.(lister); ok {
		rows, _ = l.items()
	}
	plain, err := plainOf(rows)
	if err != nil {
		return err
	}
	list, _ := plain.([]any)
	t := table{}
	for _, c := range columns {
		t.columns = append(t.columns, c.header)
	}
	for _, row := range list {
		cells := make([]string, 0, len(columns))
		for _, c := range columns {
			cell, err := c.of(row)
			if err != nil {
				return err
			}
			cells = append(cells, cell)
		}
		t.add(cells...)
	}
	t.write(w, true)
	return nil
}

func (c column) of(row any) (string, error) {
	results, err := c.path.FindResults(row)
	if err != nil {
		return "", fmt.Errorf("finding column %s: %w", c.header, err)
	}
	var values []string
	for _, result := range results {
		for _, v := range result {
			values = append(values, fmt.Sprint(v.Interface()))
		}
	}
	if len(values) == 0 {
		return "<none>", nil
	}
	return strings.Join(values, ","), nil
}
