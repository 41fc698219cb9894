package resource_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

func newAnnotations(t testing.TB, include, exclude []string) resource.AnnotationFilter {
	t.Helper()
	f, err := resource.NewAnnotationFilter(include, exclude)
	if err != nil {
		t.Fatalf("NewAnnotationFilter(%q, %q): %v", include, exclude, err)
	}
	return f
}

func TestAnnotationFilter(t *testing.T) {
	defaults := resource.DefaultAnnotations()
	tests := map[string]struct {
		include, exclude []string
		key              string
		want             bool
	}{
		"key":                           {defaults, nil, "description", true},
		"glob of the prefix":            {defaults, nil, "example.com/description", true},
		"case counts":                   {defaults, nil, "Description", false},
		"another key":                   {defaults, nil, "example.com/owner", false},
		"glob of the name":              {[]string{"example.com/*"}, nil, "example.com/owner", true},
		"star does not cross a slash":   {[]string{"*"}, nil, "example.com/owner", false},
		"exclude wins":                  {[]string{"*/description"}, []string{"example.com/*"}, "example.com/description", false},
		"nothing without include":       {nil, nil, "description", false},
		"last-applied, though included": {[]string{"*/*", lastApplied}, nil, lastApplied, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := newAnnotations(t, tt.include, tt.exclude).Match(tt.key); got != tt.want {
				t.Errorf("Match(%q) = %v, want %v", tt.key, got, tt.want)
			}
		})
	}
}

func TestAnnotationFilterRefusesMalformedPatterns(t *testing.T) {
	for _, pattern := range []string{"", "[", "a[", `\`, "[]a]", "*[", "x/[a-"} {
		for side, lists := range map[string][2][]string{"include": {{"ok", pattern}, nil}, "exclude": {nil, {"ok", pattern}}} {
			if _, err := resource.NewAnnotationFilter(lists[0], lists[1]); err == nil {
				t.Errorf("NewAnnotationFilter takes %s %q", side, pattern)
			}
		}
	}
}

func TestAnnotationFilterKeepsItsPatterns(t *testing.T) {
	include, exclude := []string{"description"}, []string{"other"}
	f := newAnnotations(t, include, exclude)
	include[0], exclude[0] = "changed", "description"
	if !f.Match("description") || f.Match("changed") {
		t.Error("the filter changed with the slices that it was made from")
	}
	if want, got := "include=description exclude=other", f.String(); got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}

func TestCut(t *testing.T) {
	tests := map[string]struct{ value, want string }{
		"short":                      {"hello", "hello"},
		"exactly as long":            {strings.Repeat("a", 1024), strings.Repeat("a", 1024)},
		"too long":                   {strings.Repeat("a", 1025), strings.Repeat("a", 1024)},
		"not within a character":     {"a" + strings.Repeat("é", 512), "a" + strings.Repeat("é", 511)},
		"wide characters":            {strings.Repeat("🚢", 300), strings.Repeat("🚢", 256)},
		"no UTF-8":                   {"a\xff\xfeb", "a\uFFFDb"},
		"half a character":           {"a\xc3", "a\uFFFD"},
		"longer after the repair":    {strings.Repeat("a\xff", 512), strings.Repeat("a\uFFFD", 256)},
		"combined with the last one": {strings.Repeat("a", 1023) + "é", strings.Repeat("a", 1023)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, resource.AnnotationFilter{}.Cut(tt.value)); diff != "" {
				t.Errorf("Cut() (-want +got):\n%s", diff)
			}
		})
	}
}

// FuzzAnnotations checks that an accepted filter matches without an error, and never lets last-applied through. A
// cut value is valid and short, begins the original value, and stays the same when it is cut again.
func FuzzAnnotations(f *testing.F) {
	f.Add("*/description", "example.com/description", "text")
	f.Add("[a-z]*", "key", strings.Repeat("é", 600))
	f.Add("a[", lastApplied, "\xff")
	f.Fuzz(func(t *testing.T, pattern, key, value string) {
		filter, err := resource.NewAnnotationFilter([]string{pattern}, nil)
		if err == nil {
			if filter.Match(lastApplied) {
				t.Errorf("include %q lets %s through", pattern, lastApplied)
			}
			out := newAnnotations(t, []string{pattern}, []string{pattern})
			if out.Match(key) {
				t.Errorf("exclude %q does not win for %q", pattern, key)
			}
		}
		cut := filter.Cut(value)
		if !utf8.ValidString(cut) || len(cut) > 1024 {
			t.Errorf("Cut(%q) = %q, want valid UTF-8 of 1024 bytes at most", value, cut)
		}
		if !strings.HasPrefix(strings.ToValidUTF8(value, "\uFFFD"), cut) {
			t.Errorf("Cut(%q) = %q, which is not its beginning", value, cut)
		}
		if again := filter.Cut(cut); again != cut {
			t.Errorf("Cut of %q is %q", cut, again)
		}
	})
}

func TestBeyondNamesWhatIsAskedForInVain(t *testing.T) {
	keep := newAnnotations(t, []string{"description", "example.com/*"}, []string{"example.com/secret"})
	f := newAnnotations(t, []string{"description", "example.com/owner", "example.com/secret", "team", "other.io/*"}, nil)
	if diff := cmp.Diff([]string{"example.com/secret", "team"}, f.Beyond(keep)); diff != "" {
		t.Error(diff)
	}
	if none := newAnnotations(t, resource.DefaultAnnotations(), nil).Beyond(newAnnotations(t, nil, nil)); none != nil {
		t.Errorf("defaults that nobody has asked for are named: %v", none)
	}
}
