package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/metricsdoc"
)

func TestReferenceOfMetricsIsFresh(t *testing.T) {
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	metricsdoc.Check(t, "../../../docs/metrics.md", reg)
}

// TestNoPackageWithMetricsIsLeftOut: every package whose metrics.go has a newMetrics is in the reference.
func TestNoPackageWithMetricsIsLeftOut(t *testing.T) {
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	families, err := reg.Families()
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../*/metrics.go")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %v, %v", files, err)
	}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		makes := slices.ContainsFunc(f.Decls, func(d ast.Decl) bool {
			fn, ok := d.(*ast.FuncDecl)
			return ok && fn.Recv == nil && fn.Name.Name == "newMetrics"
		})
		pkg := filepath.Base(filepath.Dir(file))
		if makes && !slices.ContainsFunc(families, func(f metricsdoc.Family) bool { return f.Package == pkg }) {
			t.Errorf("%s has metrics and is not registered by registry()", pkg)
		}
	}
}

// TestMetricNamesFollowOneRule: promlint has no complaint, and a counter ends in _total. A gauge names the things
// that it counts, in the plural, or its unit, unless it is a flag, as its help says. A histogram of times names
// their subject.
func TestMetricNamesFollowOneRule(t *testing.T) {
	t.Parallel()
	for _, f := range families(t) {
		problems, err := promlint.NewWithMetricFamilies([]*dto.MetricFamily{{
			Name: &f.Name, Help: &f.Help, Type: dto.MetricType(dto.MetricType_value[strings.ToUpper(f.Type)]).Enum(), Metric: []*dto.Metric{{}},
		}}).Lint()
		if err != nil {
			t.Errorf("%s: %v", f.Name, err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
		if why := misnamed(f); why != "" {
			t.Errorf("%s, a %s: %s", f.Name, f.Type, why)
		}
	}
}

func TestMisnamedMetricsAreSeen(t *testing.T) {
	t.Parallel()
	for _, f := range []metricsdoc.Family{
		{Name: "k8s_vectordb_sync_dirty", Type: "gauge", Help: "Objects that wait."},
		{Name: "k8s_vectordb_sync_parked_object", Type: "gauge", Help: "Objects that wait."},
		{Name: "k8s_vectordb_sync_list_seconds", Type: "histogram", Help: "How long lists take."},
		{Name: "k8s_vectordb_sync_lists", Type: "counter", Help: "Lists."},
		{Name: "vectordb_sync_lists_total", Type: "counter", Help: "Lists."},
	} {
		if misnamed(f) == "" {
			t.Errorf("%s, a %s, passes", f.Name, f.Type)
		}
	}
}

// misnamed says what is wrong with the name of a metric, or is empty.
func misnamed(f metricsdoc.Family) string {
	const prefix = "k8s_vectordb_sync_"
	name, ok := strings.CutPrefix(f.Name, prefix)
	if !ok {
		return "want the prefix " + prefix
	}
	words := strings.Split(name, "_")
	last := words[len(words)-1]
	counted := []string{
		"claims", "configs", "definitions", "deletions", "deployments", "groups", "members", "objects", "operations", "partitions",
		"parts", "patterns", "requests", "types",
	}
	switch f.Type {
	case "counter":
		if last != "total" {
			return "want it to end in _total"
		}
	case "gauge":
		flag := strings.HasPrefix(f.Help, "1 for each") || strings.HasPrefix(f.Help, "1 while")
		if !flag && !slices.Contains([]string{"seconds", "bytes", "limit"}, last) && !slices.ContainsFunc(words, func(w string) bool { return slices.Contains(counted, w) }) {
			return "want it to say what it counts, in the plural, or its unit"
		}
	case "histogram":
		if last == "seconds" && words[len(words)-2] != "duration" && words[len(words)-2] != "latency" {
			return "want _duration_seconds or _latency_seconds"
		}
	}
	return ""
}

// TestMetricsThatAreNamedExist looks for names of metrics in alerts, dashboard, chart, documents and tests.
func TestMetricsThatAreNamedExist(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for _, f := range families(t) {
		known[f.Name] = true
	}
	name := regexp.MustCompile(`\bk8s_vectordb_sync_[a-z_]*[a-z]\b`)
	seen := 0
	for _, root := range []string{"charts", "config", "docs", "test", "README.md"} {
		err := filepath.WalkDir(filepath.Join("..", "..", "..", root), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, m := range name.FindAll(text, -1) {
				n := string(m)
				for _, suffix := range []string{"_bucket", "_sum", "_count"} {
					if known[strings.TrimSuffix(n, suffix)] {
						n = strings.TrimSuffix(n, suffix)
					}
				}
				seen++
				if !known[n] && !bytes.Contains(text, []byte(n+"_*")) {
					t.Errorf("%s names %s, which is no metric", strings.TrimPrefix(path, "../../../"), m)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 50 {
		t.Errorf("only %d names of metrics were found", seen)
	}
}

func families(t *testing.T) []metricsdoc.Family {
	t.Helper()
	reg, err := registry()
	if err != nil {
		t.Fatal(err)
	}
	all, err := reg.Families()
	if err != nil {
		t.Fatal(err)
	}
	return all
}
