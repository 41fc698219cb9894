package house_test

import (
	"go/ast"
	"path/filepath"
	"strings"
	"testing"
)

const (
	// appLines is how many lines internal/app may have, without its tests and the code that answers the API.
	appLines = 900
	// exportLines is how many lines an export_test.go may have: a package that needs a larger one is two packages.
	exportLines = 50
)

// TestAppComposes allows internal/app to put parts together and nothing else: it guards no state, and is small.
func TestAppComposes(t *testing.T) {
	lines := 0
	for _, s := range sources(t) {
		dir := filepath.ToSlash(filepath.Dir(s.path))
		if strings.HasSuffix(s.path, "_test.go") || !strings.HasSuffix(dir, "internal/app") && !strings.Contains(dir, "internal/app/") {
			continue
		}
		if mutex := mutexOf(s.file); mutex != nil {
			t.Errorf("%s has a mutex: what is guarded is a part, and has a package", place(s, mutex))
		}
		if strings.HasSuffix(dir, "internal/app") {
			lines += strings.Count(s.text, "\n")
		}
	}
	if lines == 0 || lines > appLines {
		t.Errorf("internal/app has %d lines, want at most %d", lines, appLines)
	}
}

// TestExportsForTestsAreFew refuses packages whose tests need many of their unexported names.
func TestExportsForTestsAreFew(t *testing.T) {
	for _, s := range sources(t) {
		if n := strings.Count(s.text, "\n"); filepath.Base(s.path) == "export_test.go" && n > exportLines {
			t.Errorf("%s has %d lines, want at most %d", s.path, n, exportLines)
		}
	}
}

func TestAMutexIsSeen(t *testing.T) {
	for text, want := range map[string]bool{
		"package a\nimport \"sync\"\ntype a struct { mu sync.Mutex }":     true,
		"package a\nimport \"sync\"\nvar mu sync.RWMutex":                 true,
		"package a\nimport \"sync\"\nfunc f() { var all sync.WaitGroup }": false,
	} {
		if got := mutexOf(parse(t, "a.go", text).file) != nil; got != want {
			t.Errorf("%q has a mutex: %t, want %t", text, got, want)
		}
	}
}

// mutexOf returns the first mention of a mutex, nil for none.
func mutexOf(f *ast.File) (found ast.Node) {
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && found == nil {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "sync" && (s.Sel.Name == "Mutex" || s.Sel.Name == "RWMutex") {
				found = n
			}
		}
		return found == nil
	})
	return found
}
