package house_test

import (
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestControllerStaysSmall keeps packages out of the controller that cost resident memory in every replica. Each
// replica has to stay below 50 MiB with 20,000 objects.
func TestControllerStaysSmall(t *testing.T) {
	const program = "github.com/k8s-vectordb-sync/k8s-vectordb-sync/cmd/k8s-vectordb-sync"
	unwanted := map[string]string{
		"github.com/google/cel-go": "rules of a CustomResourceDefinition are evaluated by the API server, not here",
		"google.golang.org/grpc":   "everything here speaks HTTP",
		"html/template":            "it brings text/template",
		"k8s.io/apiserver":         "its authentication and authorization bring grpc",
		"text/template": "it looks up methods by name while the program runs, so the linker keeps every exported method of every type: " +
			"8.4 MB of the stripped binary, 4.3 MiB of resident memory",
	}
	of := func(path string) (prefix string) {
		for prefix := range unwanted {
			if path == prefix || strings.HasPrefix(path, prefix+"/") {
				return prefix
			}
		}
		return ""
	}

	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", `{{.ImportPath}} {{join .Imports " "}}`, program)
	list.Dir = "../.."
	list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0") // as in the image
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatalf("listing what %s depends on: %v", program, err)
	}

	importers := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, imported := range fields[1:] {
			if of(imported) == "" || of(imported) != of(fields[0]) { // the package that imports it, not its parts
				importers[imported] = append(importers[imported], fields[0])
			}
		}
	}
	if len(importers["net/http"]) == 0 {
		t.Fatalf("the list lacks even net/http:\n%s", out)
	}
	for _, path := range slices.Sorted(maps.Keys(importers)) {
		if prefix := of(path); prefix != "" {
			t.Errorf("the controller contains %s, imported by %s: %s", path, strings.Join(importers[path], ", "), unwanted[prefix])
		}
	}
}
