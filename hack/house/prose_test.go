package house_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxColumns = 120 // of a line with a comment; a tab is four
	maxWords   = 30  // of a sentence in a document; 25 is the aim
)

// These are the remaining exceptions, as totals, so that code can be moved. They may only go down.
const (
	longComments  = 0
	longSentences = 0
)

// TestCommentsFitAScreen refuses lines of comments that are too wide to read beside another file.
func TestCommentsFitAScreen(t *testing.T) {
	var places []string
	for _, s := range sources(t) {
		places = append(places, wideComments(s)...)
	}
	ratchet(t, "comments over 120 columns", places, longComments)
}

// TestSentencesAreShort refuses sentences in documents that are so long that people read them twice.
func TestSentencesAreShort(t *testing.T) {
	var places []string
	texts := prose(t)
	for _, path := range slices.Sorted(maps.Keys(texts)) {
		generated := strings.HasPrefix(texts[path], "<!-- Generated")
		if filepath.Ext(path) != ".md" || generated || !strings.HasPrefix(path, "docs/") && path != "README.md" && path != "CONTRIBUTING.md" {
			continue
		}
		for _, long := range longOnes(texts[path]) {
			places = append(places, path+": "+long)
		}
	}
	ratchet(t, "sentences over 30 words", places, longSentences)
}

// ratchet fails for more places than the remaining exceptions.
func ratchet(t *testing.T, what string, places []string, left int) {
	t.Helper()
	if len(places) > left {
		t.Errorf("%d %s, %d are left over from before:\n\t%s", len(places), what, left, strings.Join(places, "\n\t"))
	} else if len(places) < left {
		t.Logf("%d %s, and %d are allowed", len(places), what, left)
	}
}

func TestAWideCommentIsSeen(t *testing.T) {
	at := func(columns int) string { return strings.Repeat("x", columns-3) }
	s := parse(t, "a.go", "package a\n// "+at(120)+"\n// "+at(121)+"\n//go:generate "+at(121)+"\n// https://"+at(121)+
		"\nfunc f() {\n\t// "+at(117)+"\n\t_ = 1 // "+at(118)+"\n}\n/*\n"+at(124)+"\n*/\n")
	if got, want := wideComments(s), []string{"a.go:3", "a.go:7", "a.go:8", "a.go:11"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}

func TestALongSentenceIsSeen(t *testing.T) {
	words := func(n int) string { return "A" + strings.Repeat(" word", n-1) }
	for text, want := range map[string]int{
		words(30) + ".": 0,
		words(31) + ".": 1,
		words(20) + ".\n" + words(20) + ". " + words(31) + "!":           1,
		words(20) + "\n" + words(20) + ".":                               1,
		words(20) + "\n\n" + words(20) + ".":                             0,
		"- " + words(20) + "\n- " + words(20) + "\n1. " + words(20):      0,
		"| " + words(20) + " | " + words(20) + " |\n|---|---|":           0,
		"```sh\n" + words(40) + "\n```\n\n    " + words(40):              0,
		"# " + words(20) + "\n" + words(20) + ".":                        0,
		words(20) + " `a b c d e f` " + words(9) + ".":                   0,
		words(20) + " [a b](https://x/a_long_one) " + words(8) + ".":     0,
		words(20) + " [v1.2](x.md), e.g. " + words(10):                   1,
		words(28) + " (what stands in brackets. Still one) " + words(29): 2,
	} {
		if got := longOnes(text); len(got) != want {
			t.Errorf("%q: found %q, want %d", text, got, want)
		}
	}
}

// wideComments returns the lines of a file that a comment makes too wide. Directives and addresses cannot be
// broken.
func wideComments(s source) (places []string) {
	lines := strings.Split(s.text, "\n")
	for _, group := range s.file.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:") || strings.HasPrefix(c.Text, "// +") || strings.HasPrefix(c.Text, "// https://") {
				continue
			}
			for n := s.set.Position(c.Pos()).Line; n <= s.set.Position(c.End()).Line; n++ {
				if utf8.RuneCountInString(strings.ReplaceAll(lines[n-1], "\t", "    ")) > maxColumns {
					places = append(places, fmt.Sprintf("%s:%d", strings.TrimPrefix(s.path, "../../"), n))
				}
			}
		}
	}
	return places
}

var (
	item        = regexp.MustCompile(`^\s*([-*]|[0-9]+\.) `)
	code        = regexp.MustCompile("`[^`]*`")
	link        = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	abbreviated = regexp.MustCompile(`\b(e\.g|i\.e|etc|vs)\.`)
	sentenceEnd = regexp.MustCompile(`[.!?][)"*_]*(\s+|$)`)
)

// longOnes returns the sentences of a Markdown document that have too many words. A code span is one word,
// and a colon or a semicolon ends no sentence.
func longOnes(text string) (long []string) {
	var block []string
	end := func() {
		whole := abbreviated.ReplaceAllString(link.ReplaceAllString(code.ReplaceAllString(strings.Join(block, " "), "code"), "$1"), "$1")
		block = nil
		for _, sentence := range sentenceEnd.Split(whole, -1) {
			words := slices.DeleteFunc(strings.Fields(sentence), func(w string) bool { return !strings.ContainsFunc(w, isLetter) })
			if len(words) > maxWords {
				long = append(long, fmt.Sprintf("%d words: %s", len(words), sentence))
			}
		}
	}
	fenced := false
	for line := range strings.SplitSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "```"):
			fenced = !fenced
			end()
		case fenced, strings.HasPrefix(line, "    ") && len(block) == 0, trimmed == "", strings.HasPrefix(line, "#"), strings.HasPrefix(trimmed, "<"):
			end()
		case strings.HasPrefix(trimmed, "|"):
			end()
			for cell := range strings.SplitSeq(trimmed, "|") {
				block = []string{cell}
				end()
			}
		case item.MatchString(line):
			end()
			block = []string{item.ReplaceAllString(line, "")}
		default:
			block = append(block, trimmed)
		}
	}
	end()
	return long
}

func isLetter(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
