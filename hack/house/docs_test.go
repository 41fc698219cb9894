package house_test

import (
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTestsThatAreNamedExist looks up the tests that documents name: without its test, a rule is a wish.
func TestTestsThatAreNamedExist(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range sources(t) {
		if !strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				known[f.Name.Name] = true
			}
		}
	}
	named := 0
	texts := prose(t)
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		if filepath.Ext(path) != ".md" || path == "CHANGELOG.md" {
			continue
		}
		for _, name := range unknownTests(texts[path], known) {
			t.Errorf("%s names %s, and there is no such test", path, name)
		}
		named += len(testName.FindAllString(texts[path], -1))
	}
	if named < 50 {
		t.Errorf("only %d names of tests were found", named)
	}
}

var testName = regexp.MustCompile("`((?:Test|Benchmark|Fuzz|Example)[A-Z]\\w*)`")

func unknownTests(text string, known map[string]bool) (unknown []string) {
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		if !known[m[1]] {
			unknown = append(unknown, m[1])
		}
	}
	return unknown
}

// TestPathsThatAreNamedExist looks up the files and folders that documents and package comments name.
func TestPathsThatAreNamedExist(t *testing.T) {
	texts := prose(t)
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		if filepath.Ext(path) != ".md" || path == "CHANGELOG.md" {
			continue
		}
		for _, missing := range missingPaths(texts[path], filepath.Dir(path)) {
			t.Errorf("%s names %s, which is not there", path, missing)
		}
		for _, missing := range missingHeadings(path, texts) {
			t.Errorf("%s links to %s, and there is no such heading", path, missing)
		}
	}
}

var (
	codePath = regexp.MustCompile("`((?:api|charts|cmd|config|docs|hack|internal|test)/[-\\w./]+)`")
	linkPath = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// missingPaths returns the paths in a document that name no file. Paths in code are relative to the root of the
// repository, and paths in links to its folder. Names of packages count as folders below internal.
func missingPaths(text, folder string) (missing []string) {
	exists := func(path string) bool {
		_, err := os.Stat(filepath.Join("..", "..", path))
		return err == nil
	}
	for _, m := range codePath.FindAllStringSubmatch(text, -1) {
		if !exists(m[1]) && !exists(filepath.Join("internal", m[1])) {
			missing = append(missing, m[1])
		}
	}
	for _, m := range linkPath.FindAllStringSubmatch(text, -1) {
		if !exists(filepath.Join(folder, m[1])) {
			missing = append(missing, m[1])
		}
	}
	return missing
}

var (
	headingLink = regexp.MustCompile(`\]\(([^)#:\s]*)#([^)\s]+)\)`)
	heading     = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	fence       = regexp.MustCompile("(?s)```.*?```")
	unspoken    = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// missingHeadings returns the links of a document that lead to no heading, of another document or its own.
func missingHeadings(path string, texts map[string]string) (missing []string) {
	for _, m := range headingLink.FindAllStringSubmatch(texts[path], -1) {
		to := path
		if m[1] != "" {
			to = filepath.Join(filepath.Dir(path), m[1])
		}
		if text, ok := texts[to]; ok && !slices.Contains(anchors(text), m[2]) {
			missing = append(missing, m[1]+"#"+m[2])
		}
	}
	return missing
}

// anchors are the headings of a document, as GitHub has them in addresses.
func anchors(text string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		spoken := strings.ToLower(unspoken.ReplaceAllString(link.ReplaceAllString(m[1], "$1"), ""))
		all = append(all, strings.ReplaceAll(strings.TrimSpace(spoken), " ", "-"))
	}
	return all
}

func TestDocs_NamesNothingThatExists_IsFound(t *testing.T) {
	if got, want := unknownTests("`TestThere`, `TestNowhere` and TestOther", map[string]bool{"TestThere": true}), []string{"TestNowhere"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	text := "`internal/sink/wire/wire.go`, `internal/nowhere.go`, `api/v1alpha1`, `docs/x`, [a](../README.md#what), [b](none.md), [c](https://x/y)"
	if got, want := missingPaths(text, "docs"), []string{"internal/nowhere.go", "docs/x", "none.md"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	texts := map[string]string{
		"docs/a.md": "# Of `A`: [this](x), that\n```\n# b\n```\n[1](#of-a-this-that) [2](#b) [3](b.md#c-d) [4](b.md#e) [5](../r.go#L3)",
		"docs/b.md": "## C d?",
	}
	if got, want := missingHeadings("docs/a.md", texts), []string{"#b", "b.md#e"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
