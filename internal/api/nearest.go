package api

import (
	"cmp"
	"slices"
	"strings"
)

// maxSuggestions is how many names a person still reads.
const maxSuggestions = 5

// Nearest returns the names that may have been meant by what was typed, best first and at most five, without
// duplicates; nil when nothing is near. Near is what begins with the typed name or the other way round (deploy,
// deployments, deployments.apps), and what is within a third of its length in edits, where swapping two neighbours is
// one edit. Case does not count.
func Nearest(typed string, names []string) []string {
	type candidate struct {
		name     string
		distance int
	}
	low := strings.ToLower(typed)
	var found []candidate
	for _, n := range names {
		if d, ok := nearness(low, strings.ToLower(n)); ok {
			found = append(found, candidate{n, d})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	var near []string
	for _, c := range found {
		if len(near) == maxSuggestions {
			break
		}
		if !slices.Contains(near, c.name) {
			near = append(near, c.name)
		}
	}
	return near
}

// nearness returns how far two names are apart, and whether that is near. The part before the first dot is compared,
// too, because people type deployment and mean deployments.apps.
func nearness(typed, name string) (distance int, near bool) {
	if typed == "" || name == "" {
		return 0, false
	}
	first, _, dotted := strings.Cut(name, ".")
	// Names are at most 253 characters in Kubernetes, and the work is quadratic: what is longer is not compared.
	if len(typed) > 253 || len(name) > 253 {
		return 0, false
	}
	distance = edits(typed, name)
	limit := max(1, len(typed)/3)
	if dotted {
		distance = min(distance, edits(typed, first)+1)
		limit++
	}
	if distance <= limit {
		return distance, true
	}
	// Two letters begin too many names to mean one.
	if len(typed) >= 3 && strings.HasPrefix(name, typed) || len(name) >= 3 && strings.HasPrefix(typed, name) {
		return distance, true
	}
	return 0, false
}

// edits returns how many insertions, deletions, replacements and swaps of neighbours turn a into b (the optimal string
// alignment distance, in bytes).
func edits(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
