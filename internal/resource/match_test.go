package resource

import (
	"path"
	"testing"
)

func FuzzMatchIsPathMatch(f *testing.F) {
	for _, p := range []string{"description", "*/description", "*/?fd.timestamp", "example.com/*", "a[b-d]c", `a\*`, "*", "?", ""} {
		for _, s := range []string{"description", "example.com/description", "a/b/description", "nvidia.com/gfd.timestamp", "abc", "a*", ""} {
			f.Add(p, s)
		}
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		want, err := path.Match(pattern, s)
		if err != nil {
			return // a filter refuses such a pattern
		}
		if got := match(pattern, s); got != want {
			t.Errorf("match(%q, %q) is %v, want %v", pattern, s, got, want)
		}
	})
}

func BenchmarkMatchOfAnotherKey(b *testing.B) {
	for b.Loop() {
		if match("*/?fd.timestamp", "app.kubernetes.io/managed-by") {
			b.Fatal("they match")
		}
	}
}
