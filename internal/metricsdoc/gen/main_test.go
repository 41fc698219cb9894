package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"

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
