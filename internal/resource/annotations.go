package resource

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxAnnotationBytes is where the value of an annotation is cut, in bytes. Receivers put the value into the text
// that is embedded, without a cap of their own, and an embedder refuses a batch of over-long texts for ever. dot-ai
// embeds only 500 characters of a value; 1 KiB is twice that.
const MaxAnnotationBytes = 1024

// LastApplied is the annotation in which kubectl repeats the whole object, a Secret's data too. No filter keeps it.
const LastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// AnnotationFilter decides which annotations are kept. Its zero value keeps none.
type AnnotationFilter struct {
	include, exclude []string
}

// NewAnnotationFilter keeps annotations whose key matches one of include and none of exclude. A pattern is an exact
// key or a glob in which * stands for any characters but a slash: "description", "*/description", "example.com/*".
// [LastApplied] is never kept.
func NewAnnotationFilter(include, exclude []string) (AnnotationFilter, error) {
	include, exclude = slices.Clone(include), slices.Clone(exclude) // the caller may change its slices later
	for _, p := range slices.Concat(include, exclude) {
		if p == "" {
			return AnnotationFilter{}, fmt.Errorf("annotation pattern is empty, want a key such as description or a glob such as */description")
		}
		if _, err := path.Match(p, ""); err != nil {
			return AnnotationFilter{}, fmt.Errorf("annotation pattern %q is malformed, want a key such as description or a glob such as */description", p)
		}
	}
	return AnnotationFilter{include: include, exclude: exclude}, nil
}

// DefaultAnnotations are the annotations by which both receivers' users search; the receivers' own importers keep
// them.
func DefaultAnnotations() []string { return []string{"description", "*/description"} }

// Match tells whether the annotation with that key is kept.
func (f AnnotationFilter) Match(key string) bool {
	if key == LastApplied {
		return false
	}
	return matchAny(f.include, key) && !matchAny(f.exclude, key)
}

// Beyond returns the keys that f names exactly and that keep does not keep. For annotations that have passed keep,
// f names them in vain. The [DefaultAnnotations] are never among them.
func (f AnnotationFilter) Beyond(keep AnnotationFilter) []string {
	var keys []string
	for _, p := range f.include {
		if !strings.ContainsAny(p, `*?[\`) && !keep.Match(p) && !slices.Contains(DefaultAnnotations(), p) {
			keys = append(keys, p)
		}
	}
	return keys
}

// Cut shortens a value to [MaxAnnotationBytes], at the end of a character. It replaces bytes that are no UTF-8,
// which no receiver takes.
func (AnnotationFilter) Cut(value string) string {
	value = strings.ToValidUTF8(value, "\uFFFD")
	if len(value) <= MaxAnnotationBytes {
		return value
	}
	end := MaxAnnotationBytes
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return value[:end]
}

// String describes the filter as it was configured. Two filters that keep the same have, in general, the same string.
func (f AnnotationFilter) String() string {
	return "include=" + strings.Join(f.include, ",") + " exclude=" + strings.Join(f.exclude, ",")
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if match(p, s) {
			return true
		}
	}
	return false
}

// match is [path.Match]. It sees every key of every event. Nearly all keys fail by the text after the pattern's
// last wildcard, which costs a tenth to compare.
func match(pattern, s string) bool {
	if strings.IndexByte(pattern, '[') < 0 && strings.IndexByte(pattern, '\\') < 0 {
		end := max(strings.LastIndexByte(pattern, '*'), strings.LastIndexByte(pattern, '?')) + 1
		if !strings.HasSuffix(s, pattern[end:]) {
			return false
		}
	}
	ok, err := path.Match(pattern, s)
	return err == nil && ok
}
