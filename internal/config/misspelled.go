package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/spelling"
)

// misspelled returns a warning for each variable of the environment that is none of ours but looks like one of
// them. The warning does not repeat the value, which may be another program's secret.
func misspelled(env map[string]string) []string {
	var warnings []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if known := meant(name); known != "" {
			warnings = append(warnings, fmt.Sprintf("%s is not a variable of this program, is %s meant?", printable(name), known))
		}
	}
	return warnings
}

// meant returns the variable of which name is likely a misspelling. That is the nearest that differs by one
// mistake, or by two for a long name (POD_IP is no misspelling of POD_UID). Else it is the first that begins with
// all the words of name, two at least (AUTH_TOKEN).
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
		if longer := len(name) - len(s.Name); longer > limit || -longer > limit {
			continue // whatever its value is, and however long its name is
		}
		if d := spelling.Distance(name, s.Name); d <= limit && d < bestDistance {
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
