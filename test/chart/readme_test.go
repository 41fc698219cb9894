package chart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// value is a line of the chart's reference.
type value struct {
	path, typ, fallback, text string
}

// documented returns the values of values.yaml with a comment "# -- …" above them, in their order.
func documented(t *testing.T) []value {
	t.Helper()
	var file yaml.Node
	if err := yaml.Unmarshal(read(t, chartDir+"/values.yaml"), &file); err != nil {
		t.Fatalf("reading values.yaml: %v", err)
	}
	var found []value
	var walk func(prefix string, n *yaml.Node)
	walk = func(prefix string, n *yaml.Node) {
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			text, ok := description(k.HeadComment)
			switch {
			case ok:
				found = append(found, newValue(t, prefix+k.Value, text, v))
			case v.Kind == yaml.MappingNode && len(v.Content) > 0:
				walk(prefix+k.Value+".", v)
			default:
				t.Errorf("values.yaml:%d: %s%s has no description", k.Line, prefix, k.Value)
			}
		}
	}
	walk("", file.Content[0])
	return found
}

// description returns the text after "# --" in a comment, on one line.
func description(comment string) (string, bool) {
	_, text, found := strings.Cut(comment, "# -- ")
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "\n# ", " ")), " "), found
}

func newValue(t *testing.T, path, text string, n *yaml.Node) value {
	t.Helper()
	v := value{path: path, text: text}
	if typ, rest, found := strings.Cut(strings.TrimPrefix(text, "("), ") "); found && strings.HasPrefix(text, "(") {
		v.typ, v.text = typ, rest
	}
	var content any
	if err := n.Decode(&content); err != nil {
		t.Fatalf("reading the default of %s: %v", path, err)
	}
	fallback, err := json.Marshal(content)
	if err != nil {
		t.Fatalf("writing the default of %s: %v", path, err)
	}
	v.fallback = string(fallback)
	if v.typ == "" {
		v.typ = map[byte]string{'"': "string", '{': "object", '[': "list", 't': "bool", 'f': "bool"}[v.fallback[0]]
	}
	if v.typ == "" {
		v.typ = "int"
	}
	return v
}

func TestReadmeIsUpToDate(t *testing.T) {
	t.Parallel()
	const path = chartDir + "/README.md"
	const mark = "by `hack/chart-test.sh -update`. -->\n"
	before, _, found := strings.Cut(string(read(t, path)), mark)
	if !found {
		t.Fatalf("%s: no line ends with %q", path, mark)
	}
	var b strings.Builder
	b.WriteString(before + mark + "\n| Value | Type | Default | Description |\n|-------|------|---------|-------------|\n")
	for _, v := range documented(t) {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", v.path, v.typ, v.fallback, v.text)
	}
	upToDate(t, path, []byte(b.String()))
}

// jsonSchema is the part of a JSON schema that the tests read.
type jsonSchema struct {
	Ref         string                `json:"$ref"`
	Properties  map[string]jsonSchema `json:"properties"`
	Definitions map[string]jsonSchema `json:"definitions"`
}

// paths adds the path of every value that the schema s knows, and of every object on the way to one. Definitions are
// those of the whole schema.
func (s jsonSchema) paths(prefix string, definitions map[string]jsonSchema, into map[string]bool) {
	if s.Ref != "" {
		s = definitions[strings.TrimPrefix(s.Ref, "#/definitions/")]
	}
	for name, p := range s.Properties {
		into[prefix+name] = true
		p.paths(prefix+name+".", definitions, into)
	}
}

func TestSchemaKnowsTheValuesAndNoOthers(t *testing.T) {
	t.Parallel()
	var whole jsonSchema
	if err := json.Unmarshal(read(t, chartDir+"/values.schema.json"), &whole); err != nil {
		t.Fatalf("reading the schema: %v", err)
	}
	known := map[string]bool{}
	whole.paths("", whole.Definitions, known)
	values := map[string]bool{}
	for _, v := range documented(t) {
		values[v.path] = true
		if !known[v.path] {
			t.Errorf("the schema does not know %s", v.path)
		}
	}
	for path := range known {
		covered := false
		for v := range values {
			covered = covered || v == path || strings.HasPrefix(v, path+".") || strings.HasPrefix(path, v+".")
		}
		if !covered {
			t.Errorf("the schema knows %s, which values.yaml does not document", path)
		}
	}
}

// Objects that take only certain keys must say so, or a misspelled key silently means the default.
func TestSchemaIsStrict(t *testing.T) {
	t.Parallel()
	var schema map[string]any
	if err := json.Unmarshal(read(t, chartDir+"/values.schema.json"), &schema); err != nil {
		t.Fatalf("reading the schema: %v", err)
	}
	checked := 0
	var walk func(path string, node any)
	walk = func(path string, node any) {
		switch n := node.(type) {
		case map[string]any:
			// The values that a parent chart shares with all its charts may have other keys.
			if _, has := n["properties"]; has && n["type"] == "object" && path != "/properties/global" {
				checked++
				if n["additionalProperties"] != false {
					t.Errorf("%s takes any key", path)
				}
			}
			if _, has := n["$ref"]; has {
				for k := range n {
					if k != "$ref" && k != "title" {
						t.Errorf("%s: %s stands beside a $ref, which makes it void", path, k)
					}
				}
			}
			for k, child := range n {
				walk(path+"/"+k, child)
			}
		case []any:
			for i, child := range n {
				walk(fmt.Sprintf("%s/%d", path, i), child)
			}
		}
	}
	walk("", schema)
	if checked < 20 {
		t.Errorf("%d objects were looked at: too little was tested", checked)
	}
}

// alert is the part of a rule that the tests read.
type alert struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func readAlerts(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Rules []alert `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.Unmarshal(read(t, chartDir+"/files/alerts.yaml"), &file); err != nil {
		t.Fatalf("reading the alerts: %v", err)
	}
	return file.Groups[0].Rules
}

func TestEveryAlertSaysWhatToDo(t *testing.T) {
	t.Parallel()
	operations := string(read(t, root+"/docs/operations.md"))
	for _, a := range readAlerts(t) {
		if !strings.Contains(operations, "\n### "+a.Alert+"\n") {
			t.Errorf("docs/operations.md has no heading ### %s", a.Alert)
		}
		_, anchor, _ := strings.Cut(a.Annotations["runbook_url"], "docs/operations.md#")
		if anchor != strings.ToLower(a.Alert) { //nolint:gocritic // An anchor is in lower case.
			t.Errorf("%s: the runbook is at %q, want #%s", a.Alert, a.Annotations["runbook_url"], strings.ToLower(a.Alert))
		}
		if a.Annotations["summary"] == "" || a.Annotations["description"] == "" || !slices.Contains([]string{"critical", "warning"}, a.Labels["severity"]) {
			t.Errorf("%s lacks a summary, a description or a severity", a.Alert)
		}
	}
}

var metricName = regexp.MustCompile(`k8s_vectordb_sync_[a-z_]+`)

// An alert or a panel over a metric that no code publishes is silent for ever.
func TestAlertsAndDashboardUseMetricsThatExist(t *testing.T) {
	t.Parallel()
	reference, err := os.ReadFile(root + "/docs/metrics.md")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("docs/metrics.md has not been generated")
	}
	if err != nil {
		t.Fatal(err)
	}
	exist := map[string]bool{}
	for _, name := range metricName.FindAllString(string(reference), -1) {
		exist[name] = true
	}
	used := metricName.FindAllString(string(read(t, chartDir+"/files/alerts.yaml"))+string(read(t, chartDir+"/files/dashboard.json")), -1)
	for _, name := range slices.Compact(slices.Sorted(slices.Values(used))) {
		base := regexp.MustCompile(`_(count|sum|bucket)$`).ReplaceAllString(name, "")
		if !exist[name] && !exist[base] {
			t.Errorf("no metric is called %s", name)
		}
	}
}

// A panel whose query cannot be parsed shows an error where a person looks for a reason.
func TestQueriesOfTheDashboardCanBeRead(t *testing.T) {
	t.Parallel()
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Skip("PROMTOOL is not set: run hack/chart-test.sh")
	}
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(read(t, chartDir+"/files/dashboard.json"), &dashboard); err != nil {
		t.Fatalf("reading the dashboard: %v", err)
	}
	var rules []map[string]string
	for _, p := range dashboard.Panels {
		for i, target := range p.Targets {
			rules = append(rules, map[string]string{
				"record": fmt.Sprintf("panel:%s:%d", regexp.MustCompile(`\W`).ReplaceAllString(p.Title, "_"), i),
				"expr":   strings.ReplaceAll(target.Expr, "$namespace", ".+"),
			})
		}
	}
	if len(rules) < 15 {
		t.Errorf("%d queries: too little was tested", len(rules))
	}
	content, err := yaml.Marshal(map[string]any{"groups": []any{map[string]any{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "dashboard.yaml")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, nil, promtool, "check", "rules", path)
}

func TestAlertsFireWhenTheyShould(t *testing.T) {
	t.Parallel()
	promtool := os.Getenv("PROMTOOL")
	if promtool == "" {
		t.Skip("PROMTOOL is not set: run hack/chart-test.sh")
	}
	mustRun(t, nil, promtool, "check", "rules", chartDir+"/files/alerts.yaml")
	files, err := filepath.Glob("testdata/alerts*_test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fires := map[string]bool{} // every alert has a case in which it fires
	for _, file := range files {
		mustRun(t, nil, promtool, "test", "rules", file)
		var cases struct {
			Tests []struct {
				Rules []struct {
					Name string `yaml:"alertname"`
					Want []any  `yaml:"exp_alerts"`
				} `yaml:"alert_rule_test"`
			} `yaml:"tests"`
		}
		if err := yaml.Unmarshal(read(t, file), &cases); err != nil {
			t.Fatalf("reading %s: %v", file, err)
		}
		for _, test := range cases.Tests {
			for _, r := range test.Rules {
				fires[r.Name] = fires[r.Name] || len(r.Want) > 0
			}
		}
	}
	want := map[string]bool{}
	for _, a := range readAlerts(t) {
		want[a.Alert] = true
	}
	if diff := cmp.Diff(want, fires); diff != "" {
		t.Errorf("alerts with a case in which they fire (-want +got):\n%s", diff)
	}
}
