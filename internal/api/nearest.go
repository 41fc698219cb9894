package api

import (
	"cmp"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/spelling"
)

// maxSuggestions is how many names a person is willing to read.
const maxSuggestions = 5

// Nearest returns the names that a typed name may mean, best first and at most five, without duplicates; nil when
// no name is near. A name is near if it begins with the typed name or the other way round (deploy, deployments,
// deployments.apps). It is also near within a third of its length in edits, where swapping two neighbours is one
// edit. Case does not count.
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

// nearness returns how far two names are apart, and whether that is near. It also compares the part before the
// first dot, because people type deployment and mean deployments.apps.
func nearness(typed, name string) (distance int, near bool) {
	if typed == "" || name == "" {
		return 0, false
	}
	first, _, dotted := strings.Cut(name, ".")
	// Names are at most 253 characters in Kubernetes, and the work is quadratic: longer names are not compared.
	if len(typed) > 253 || len(name) > 253 {
		return 0, false
	}
	distance = spelling.Distance(typed, name)
	limit := max(1, len(typed)/3)
	if dotted {
		distance = min(distance, spelling.Distance(typed, first)+1)
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
