package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Doc is a receiver's copy of one object, beyond its identity.
type Doc struct {
	// Labels are all of the object's labels. Nil and empty are the same.
	Labels map[string]string
	// Annotations are the annotations that are kept. Nil and empty are the same.
	Annotations map[string]string
	// CreatedAt is a time in the form of RFC 3339. Two spellings of one moment are the same.
	CreatedAt string
}

// Mismatch is an object whose document has another content.
type Mismatch struct {
	ID        resource.ID
	Want, Got Doc
}

// Diff lists the differences of a receiver from the cluster. The zero Diff is the aim.
type Diff struct {
	// Missing are objects without a document.
	Missing []resource.ID
	// Stale are documents without an object.
	Stale []resource.ID
	// Wrong are objects whose document has another content.
	Wrong []Mismatch
}

// Compare compares the documents that a receiver should hold with those that it holds. The result is ordered by ID.
func Compare(want, got map[resource.ID]Doc) Diff {
	var d Diff
	for id, w := range want {
		g, ok := got[id]
		if !ok {
			d.Missing = append(d.Missing, id)
		} else if !w.equal(g) {
			d.Wrong = append(d.Wrong, Mismatch{ID: id, Want: w, Got: g})
		}
	}
	for id := range got {
		if _, ok := want[id]; !ok {
			d.Stale = append(d.Stale, id)
		}
	}
	slices.Sort(d.Missing)
	slices.Sort(d.Stale)
	slices.SortFunc(d.Wrong, func(a, b Mismatch) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return d
}

// Empty tells whether the receiver holds exactly what it should.
func (d Diff) Empty() bool { return len(d.Missing) == 0 && len(d.Stale) == 0 && len(d.Wrong) == 0 }

// String counts the differences and shows the first ten of each sort.
func (d Diff) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d missing, %d stale, %d wrong", len(d.Missing), len(d.Stale), len(d.Wrong))
	section(&b, "missing", d.Missing, func(id resource.ID) string { return string(id) })
	section(&b, "stale", d.Stale, func(id resource.ID) string { return string(id) })
	section(&b, "wrong", d.Wrong, Mismatch.String)
	return b.String()
}

// String lists the differences of the document.
func (m Mismatch) String() string {
	reasons := append(mapReasons("label", m.Want.Labels, m.Got.Labels), mapReasons("annotation", m.Want.Annotations, m.Got.Annotations)...)
	if !sameTime(m.Want.CreatedAt, m.Got.CreatedAt) {
		reasons = append(reasons, fmt.Sprintf("created %q, want %q", m.Got.CreatedAt, m.Want.CreatedAt))
	}
	return string(m.ID) + ": " + strings.Join(reasons, "; ")
}

func section[T any](b *strings.Builder, title string, all []T, text func(T) string) {
	const most = 10
	for i, one := range all {
		if i == most {
			fmt.Fprintf(b, "\n  %s: and %d more", title, len(all)-most)
			return
		}
		fmt.Fprintf(b, "\n  %s: %s", title, text(one))
	}
}

func mapReasons(what string, want, got map[string]string) []string {
	keys := maps.Clone(want)
	if keys == nil {
		keys = make(map[string]string)
	}
	maps.Copy(keys, got)
	var reasons []string
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		w, wanted := want[k]
		g, there := got[k]
		switch {
		case wanted && !there:
			reasons = append(reasons, fmt.Sprintf("%s %s missing", what, k))
		case there && !wanted:
			reasons = append(reasons, fmt.Sprintf("%s %s too many", what, k))
		case w != g:
			reasons = append(reasons, fmt.Sprintf("%s %s is %s, want %s", what, k, shorten(g), shorten(w)))
		}
	}
	return reasons
}

// shorten keeps a summary readable. Long values that differ only at the end usually differ in length, too.
func shorten(s string) string {
	if r := []rune(s); len(r) > 60 {
		return fmt.Sprintf("%q… (%d bytes)", string(r[:60]), len(s))
	}
	return fmt.Sprintf("%q", s)
}

func (d Doc) equal(other Doc) bool {
	return maps.Equal(d.Labels, other.Labels) && maps.Equal(d.Annotations, other.Annotations) && sameTime(d.CreatedAt, other.CreatedAt)
}

func sameTime(a, b string) bool {
	if a == b {
		return true
	}
	ta, errA := time.Parse(time.RFC3339, a)
	tb, errB := time.Parse(time.RFC3339, b)
	return errA == nil && errB == nil && ta.Equal(tb)
}
