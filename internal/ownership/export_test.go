package ownership

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
)

// Break switches off single rules of the protocol, so that tests can show that each of them is needed.
func (m *Machine) Break(rule string) {
	switch rule {
	case "":
	case "observe":
		m.rules.noObserve = true
	case "others":
		m.rules.noOthers = true
	case "fence":
		m.rules.noFence = true
	case "drain":
		m.rules.noDrain = true
	case "season":
		m.rules.noSeason = true
	case "ghosts":
		m.rules.noGhosts = true
	case "yields":
		m.rules.noYields = true
	case "yield drain":
		m.rules.noYieldDrain = true
	default:
		panic("no such rule: " + rule)
	}
}

// ShareRings makes the machine build its rings with build.
func (m *Machine) ShareRings(build func([]string, ring.Format) (*ring.Ring, error)) {
	m.cache.build = build
}

// FullSet returns the set of the partitions 0 to n-1.
func FullSet(n int) Set { return fullSet(n) }
