package house_test

import (
	"go/ast"
	"strings"
	"testing"
)

// maxFields is how many fields a struct may have. A dozen is the aim.
const maxFields = 20

// large is the one struct that has more, and largeFields how many, which may only go down. It is the state of one
// protocol, and each rule reads each part of it.
const (
	large       = "ownership.Machine"
	largeFields = 48
)

// TestStructsAreSmall refuses structs with more fields than a reader can remember. Structs in tests do not count.
func TestStructsAreSmall(t *testing.T) {
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for name, n := range structs(s) {
			allowed := maxFields
			if name == large {
				allowed = largeFields
			}
			if n > allowed {
				t.Errorf("%s: %s has %d fields, want at most %d: cut it by what is read together", s.path, name, n, allowed)
			}
		}
	}
}

func TestALargeStructIsSeen(t *testing.T) {
	fields := "int; " + strings.Repeat("a, b int; ", 10)
	got := structs(parse(t, "a.go", "package a\ntype Large struct { "+fields+"}\ntype Small struct { a, b int }\nfunc f() { type inner struct { a int } }"))
	if got["a.Large"] != 21 || got["a.Small"] != 2 || got["a.inner"] != 1 {
		t.Errorf("found %v", got)
	}
}

// structs returns the number of fields of each named struct of a file. An embedded type is one field.
func structs(s source) map[string]int {
	found := make(map[string]int)
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if body, ok := spec.Type.(*ast.StructType); ok {
			n := 0
			for _, f := range body.Fields.List {
				n += max(1, len(f.Names))
			}
			found[s.file.Name.Name+"."+spec.Name.Name] = n
		}
		return true
	})
	return found
}
