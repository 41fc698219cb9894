package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/yaml"
)

// output is the format in which a command prints.
type output string

// These are the outputs of -o, beside those of kubectl that need an argument: custom-columns, jsonpath,
// go-template.
const (
	outputTable output = ""
	outputWide  output = "wide"
	outputJSON  output = "json"
	outputYAML  output = "yaml"
	outputName  output = "name"
)

var (
	outputs       = []string{string(outputJSON), string(outputYAML), string(outputName), string(outputWide)}
	outputsOfArgs = []string{customColumns, "jsonpath=", "jsonpath-as-json=", "jsonpath-file=", "go-template=", "go-template-file="}
)

func (o *output) addFlag(flags *pflag.FlagSet) {
	flags.VarP(o, "output", "o", "Output format: "+strings.Join(outputs, ", ")+", custom-columns=, jsonpath=, go-template= "+
		"(default: a table)")
}

// String implements [pflag.Value].
func (o *output) String() string { return string(*o) }

// Type implements [pflag.Value].
func (o *output) Type() string { return "format" }

// Set implements [pflag.Value].
func (o *output) Set(s string) error {
	var err error
	switch {
	case slices.Contains(outputs, s):
	case strings.HasPrefix(s, customColumns):
		_, err = parseColumns(s)
	case templated(s):
		_, err = templatePrinter(s)
	default:
		err = fmt.Errorf("want one of %s, %s", strings.Join(outputs, ", "), strings.Join(outputsOfArgs, ", "))
	}
	if err == nil {
		*o = output(s)
	}
	return err
}

// render writes a value in its format, or by table, which learns whether it is to be wide.
func (o *output) render(w io.Writer, v any, table func(w io.Writer, wide bool)) error {
	switch *o {
	case outputJSON:
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		if err := e.Encode(v); err != nil {
			return fmt.Errorf("writing JSON: %w", err)
		}
	case outputYAML:
		b, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding YAML: %w", err)
		}
		if _, err := w.Write(b); err != nil {
			return fmt.Errorf("writing YAML: %w", err)
		}
	case outputTable, outputWide:
		table(w, *o == outputWide)
	case outputName:
		l, ok := v.(lister)
		if !ok {
			return errors.New("there are no names to print")
		}
		_, names := l.items()
		for _, name := range names {
			fmt.Fprintln(w, oneLine(name))
		}
	default:
		if strings.HasPrefix(string(*o), customColumns) {
			return renderColumns(w, string(*o), v)
		}
		return renderTemplate(w, string(*o), v)
	}
	return nil
}

// table writes columns as kubectl does. A column whose name begins with a plus is in wide tables only.
type table struct {
	columns []string
	rows    [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(w io.Writer, wide bool) {
	tw := printers.GetNewTabWriter(w)
	for _, row := range append([][]string{nil}, t.rows...) {
		var shown []string
		for i, column := range t.columns {
			name, extra := strings.CutPrefix(column, "+")
			switch {
			case extra && !wide:
			case row == nil:
				shown = append(shown, name)
			default:
				shown = append(shown, oneLine(row[i]))
			}
		}
		fmt.Fprintln(tw, strings.Join(shown, "\t"))
	}
	_ = tw.Flush() // to a terminal or a pipe: the error has no other place to go
}

// findings are the problems and notes that a look at the replicas brings.
type findings struct {
	// Problems are things that a person should mend.
	Problems []string `json:"problems"`
	// Notes are things that are worth knowing.
	Notes []string `json:"notes"`
}

func newFindings() findings { return findings{Problems: []string{}, Notes: []string{}} }

func (f *findings) problem(format string, args ...any) {
	f.Problems = append(f.Problems, oneLine(fmt.Sprintf(format, args...)))
}

func (f *findings) note(format string, args ...any) {
	f.Notes = append(f.Notes, oneLine(fmt.Sprintf(format, args...)))
}

// write writes the findings below a table.
func (f *findings) write(w io.Writer) {
	for _, part := range []struct {
		title string
		lines []string
	}{{"Problems", f.Problems}, {"Notes", f.Notes}} {
		if len(part.lines) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n%s:\n", part.title)
		for _, l := range part.lines {
			fmt.Fprintf(w, "  - %s\n", l)
		}
	}
}

// wrongError says that a command succeeded and found a problem. It has no message.
type wrongError struct{}

func (wrongError) Error() string { return "something is wrong" }

// verdict is [wrongError] if there is a problem.
func (f *findings) verdict() error {
	if len(f.Problems) > 0 {
		return wrongError{}
	}
	return nil
}
