package house_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// going marks a word whose code is still to be renamed.
const going = -1

// word is a line of words.txt.
type word struct {
	name, use string
	all       bool // in comments and documents, too
	left      int  // how often it may occur, or going
}

// TestWordsThatAreNotToComeBack counts the words of words.txt. Their numbers may only go down.
func TestWordsThatAreNotToComeBack(t *testing.T) {
	text, err := os.ReadFile("words.txt")
	if err != nil {
		t.Fatal(err)
	}
	words, err := parseWords(string(text))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string) // places of each word
	for _, s := range sources(t) {
		findWords(words, s, found)
	}
	for path, text := range prose(t) {
		findInText(words, path, text, found)
	}
	for _, w := range words {
		places := found[w.name]
		switch {
		case w.left == going && len(places) > 0:
			t.Logf("%s is to be called %s: it stands at %d places", w.name, w.use, len(places))
		case w.left == going:
			t.Logf("%s is gone, and words.txt could say so", w.name)
		case len(places) > w.left:
			t.Errorf("%s is not to come back, say %s: it stands at %d places, and %d are allowed:\n\t%s",
				w.name, w.use, len(places), w.left, strings.Join(places, "\n\t"))
		case len(places) < w.left:
			t.Logf("%s stands at %d places, and words.txt allows %d", w.name, len(places), w.left)
		}
	}
}

func TestAWordThatComesBackIsSeen(t *testing.T) {
	words, err := parseWords("# a comment\n\naloft | in flight | all | 0\ncensus | listing | code | going\n")
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string][]string)
	findWords(words, parse(t, "a.go", `package a
// Aloft is said of a census.
func takeCensus(HTTPCensus int, consensus, censusOf, aloft string) {}
`), found)
	findInText(words, "a.md", "A census is aloft.\nAloftness is not.", found)
	want := map[string][]string{
		"census": {"a.go:3", "a.go:3", "a.go:3"},
		"aloft":  {"a.go:3", "a.go:2", "a.md:1"},
	}
	if !maps.EqualFunc(found, want, slices.Equal) {
		t.Errorf("found %v, want %v", found, want)
	}
	for _, bad := range []string{"census | listing | code", "census | listing | here | 0", "Census | listing | all | 0", "a | b | all | -1", "a | b | all | gone", "b | c | all | 0\na | c | all | 0"} {
		if _, err := parseWords(bad); err == nil {
			t.Errorf("%q is taken for a list of words", bad)
		}
	}
}

// parseWords reads a list of words, which is in order.
func parseWords(text string) ([]word, error) {
	var words []word
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		columns := strings.Split(line, "|")
		for i := range columns {
			columns[i] = strings.TrimSpace(columns[i])
		}
		if len(columns) != 4 || columns[0] != strings.ToLower(columns[0]) || columns[2] != "code" && columns[2] != "all" {
			return nil, fmt.Errorf("%q is no line of words", line)
		}
		left := going
		if columns[3] != "going" {
			n, err := strconv.ParseUint(columns[3], 10, 31)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			left = int(n)
		}
		if len(words) > 0 && words[len(words)-1].name >= columns[0] {
			return nil, fmt.Errorf("%s is not in its place, or stands there twice", columns[0])
		}
		words = append(words, word{columns[0], columns[1], columns[2] == "all", left})
	}
	return words, nil
}

// findWords adds the places of words in the identifiers of a file, and in its comments.
func findWords(words []word, s source, found map[string][]string) {
	names := make(map[string]bool)
	for _, w := range words {
		names[w.name] = true
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		if !ok {
			return true
		}
		parts := append(camelParts(id.Name), strings.ToLower(id.Name))
		slices.Sort(parts)
		for _, p := range slices.Compact(parts) {
			if names[p] {
				found[p] = append(found[p], place(s, id))
			}
		}
		return true
	})
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			findInText(words, place(s, c), c.Text, found)
		}
	}
}

// findInText adds the places of words that must not occur in texts either.
func findInText(words []word, path, text string, found map[string][]string) {
	text = strings.ToLower(text)
	for _, w := range words {
		if !w.all || !strings.Contains(text, w.name) {
			continue
		}
		alone := regexp.MustCompile(`\b` + w.name + `\b`)
		for i, line := range strings.Split(text, "\n") {
			at := path
			if !strings.Contains(path, ".go:") {
				at += ":" + strconv.Itoa(i+1)
			}
			for range alone.FindAllString(line, -1) {
				found[w.name] = append(found[w.name], at)
			}
		}
	}
}

func place(s source, n ast.Node) string {
	return strings.TrimPrefix(s.path, "../../") + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

var camel = regexp.MustCompile(`[A-Z]+[a-z]*|[a-z]+`)

// camelParts returns the words of an identifier, in lower case: of HTTPClient http and client.
func camelParts(name string) (parts []string) {
	for _, p := range camel.FindAllString(name, -1) {
		upper := len(p) - len(strings.TrimLeft(p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
		if upper > 1 && upper < len(p) { // the last capital begins the next word
			parts = append(parts, strings.ToLower(p[:upper-1]))
			p = p[upper-1:]
		}
		parts = append(parts, strings.ToLower(p))
	}
	return parts
}

// prose returns the texts of the repository that people read: documents, the chart, scripts.
func prose(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	walk(t, func(path string) {
		switch filepath.Ext(path) {
		case ".md", ".yaml", ".yml", ".sh", ".tpl", ".json", ".html":
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			texts[strings.TrimPrefix(path, "../../")] = string(text)
		}
	})
	if len(texts) < 50 {
		t.Fatalf("only %d texts were found", len(texts))
	}
	return texts
}
