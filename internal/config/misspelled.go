package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// misspelled returns a warning for each variable of the environment that is none of ours but looks as if it were
// meant to be. What it holds is not told: it may be anything, and of anybody.
func misspelled(env map[string]string) []string {
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if known := meant(name); known != "" {
			warnings = append(warnings, fmt.Sprintf("%s is not a variable of this program, is %s meant?", printable(name), known))
		}
	}
	return warnings
}

// meant returns the variable that name is a likely misspelling of: the nearest that differs in one character, or two
// when it is a long name (POD_IP is no misspelling of POD_UID), or else the first that begins with all the words of
// name, two at least (AUTH_TOKEN).
func meant(name string) string {
	best, bestDistance := "", 3
	for _, s := range settings {
		if s.Name == name {
			return ""
		}
		limit := 2
		if len(s.Name) < 10 {
			limit = 1
		}
		if d := distance(name, s.Name, limit); d <= limit && d < bestDistance {
			best, bestDistance = s.Name, d
		}
	}
	if best == "" && strings.Contains(name, "_") {
		for _, s := range settings {
			if strings.HasPrefix(s.Name, name+"_") {
				return s.Name
			}
		}
	}
	return best
}

// distance returns how many characters have to be inserted, removed or replaced to make b of a; more than limit means
// at least limit+1.
func distance(a, b string, limit int) int {
	if d := len(a) - len(b); d > limit || -d > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
