package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source is a file of the main module, parsed.
type source struct {
	path string
	file *ast.File
}

// TestTestsSleepOnlyInBubbles lets tests sleep only in packages that have synctest bubbles, where a sleep takes no time
// and waits for exactly what is to happen. Product code must not sleep at all; the linter sees to that.
func TestTestsSleepOnlyInBubbles(t *testing.T) {
	bubbles, sleeping := make(map[string]bool), make(map[string]string)
	for _, s := range sources(t, "../..") {
		dir := filepath.Dir(s.path)
		bubbles[dir] = bubbles[dir] || imports(s.file, "testing/synctest")
		if calls(s.file, "time", "Sleep") {
			sleeping[dir] = s.path
		}
	}
	for dir, path := range sleeping {
		if !bubbles[dir] {
			t.Errorf("%s sleeps, and no test of its package is in a synctest bubble: wait for what is waited for", path)
		}
	}
}

// TestPackagesSayWhatTheyDo wants a package comment for each package. In a folder right below internal/ it is in doc.go: who
// reads these, and nothing else, knows how the program works.
func TestPackagesSayWhatTheyDo(t *testing.T) {
	files := make(map[string][]source)
	for _, s := range sources(t, "../..") {
		if !strings.HasSuffix(s.path, "_test.go") {
			files[filepath.Dir(s.path)] = append(files[filepath.Dir(s.path)], s)
		}
	}
	if len(files) < 5 {
		t.Fatalf("only %d packages were found", len(files))
	}
	for dir, all := range files {
		if !slices.ContainsFunc(all, func(s source) bool {
			return s.file.Doc != nil && (filepath.Base(s.path) == "doc.go" || filepath.Base(filepath.Dir(dir)) != "internal")
		}) {
			t.Errorf("%s has no package comment, want one in doc.go", dir)
		}
	}
}

// sources returns the Go files below root, but for those of other modules.
func sources(t *testing.T, root string) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			foreign, _ := filepath.Glob(filepath.Join(path, "go.mod"))
			if path != root && (len(foreign) > 0 || strings.HasPrefix(name, ".") || slices.Contains([]string{"bin", "dist", "testdata", "tmp", "node_modules"}, name)) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, source{path, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func imports(f *ast.File, path string) bool {
	return slices.ContainsFunc(f.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"`+path+`"` })
}

func calls(f *ast.File, pkg, function string) bool {
	found := false
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		name, ok := selector.X.(*ast.Ident)
		found = found || ok && name.Name == pkg && selector.Sel.Name == function
		return true
	})
	return found
}
