package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// source is a file of the main module, parsed.
type source struct {
	path, text string
	set        *token.FileSet
	file       *ast.File
}

// TestTestsSleepOnlyInBubbles lets tests sleep only in packages with synctest bubbles. There a sleep takes no time,
// and waits exactly until the expected moment. Product code must not sleep at all; the linter sees to that.
func TestTestsSleepOnlyInBubbles(t *testing.T) {
	bubbles, sleeping := make(map[string]bool), make(map[string]string)
	for _, s := range sources(t) {
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

// TestPackagesSayWhatTheyDo wants a package comment for each package. A folder right below internal/ has it in
// doc.go: a person who reads only these files learns how the program works.
func TestPackagesSayWhatTheyDo(t *testing.T) {
	files := make(map[string][]source)
	for _, s := range sources(t) {
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

// idle is how many directives name linters that are not on. It may only go down.
const idle = 0

// TestDirectivesNameLintersThatAreOn refuses a nolint that does nothing: the reason why an error is not wrapped is
// an ordinary comment.
func TestDirectivesNameLintersThatAreOn(t *testing.T) {
	settings, err := os.ReadFile("../../.golangci.yml")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(settings), "\n  enable:\n    - asasalint\n")
	enabled, _, ok := strings.Cut(rest, "\n\n")
	if !ok {
		t.Fatal("the linters that are on were not found")
	}
	on := strings.Fields(strings.ReplaceAll(enabled, "- ", ""))
	var places []string
	for _, s := range sources(t) {
		places = append(places, idleDirectives(s, on)...)
	}
	ratchet(t, "directives of linters that are not on", places, idle)
}

func TestAnIdleDirectiveIsSeen(t *testing.T) {
	s := parse(t, "a.go", "package a\nvar a = 1 //nolint:on,off // why\nvar b = 1 //nolint:on // why\n")
	if got, want := idleDirectives(s, []string{"on"}), []string{"a.go:2 off"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

// idleDirectives returns the directives of a file that name linters other than those in on.
func idleDirectives(s source, on []string) (places []string) {
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			names, ok := strings.CutPrefix(c.Text, "//nolint:")
			if !ok {
				continue
			}
			names, _, _ = strings.Cut(names, " ")
			for name := range strings.SplitSeq(names, ",") {
				if !slices.Contains(on, name) {
					places = append(places, place(s, c)+" "+name)
				}
			}
		}
	}
	return places
}

// parsed is the result of [sources], read once: tests of this package do not run in parallel.
var parsed []source

// sources returns the Go files of the main module.
func sources(t *testing.T) []source {
	t.Helper()
	if len(parsed) > 0 {
		return parsed
	}
	walk(t, func(path string) {
		if filepath.Ext(path) != ".go" {
			return
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		parsed = append(parsed, parse(t, path, string(text)))
	})
	if len(parsed) < 100 {
		t.Fatalf("only %d files were found", len(parsed))
	}
	return parsed
}

func parse(t *testing.T, path, text string) source {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return source{path, text, set, file}
}

// walk visits the files of the main module that people write.
func walk(t *testing.T, visit func(path string)) {
	t.Helper()
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !d.IsDir() {
			visit(path)
			return nil
		}
		name := d.Name()
		foreign, _ := filepath.Glob(filepath.Join(path, "go.mod"))
		hidden := strings.HasPrefix(name, ".") && name != ".github" && path != root
		if path != root && (len(foreign) > 0 || hidden || slices.Contains([]string{"bin", "dist", "testdata", "tmp", "node_modules"}, name)) {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
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
