package ownership

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
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
	case "zombies":
		m.rules.noZombies = true
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

// setOf returns the partitions of the bits that are set.
func setOf(bits int) Set {
	s := newSet(3)
	for p := range 3 {
		if bits>>p&1 == 1 {
			s.add(p)
		}
	}
	return s
}

// AreaOf returns the area of the partitions 0 to 2 whose bits are set.
func AreaOf(bits int) Area { return Area{rest: setOf(bits)} }

// With returns the area with the partitions whose bits are set in the place of what it has of a part.
func (a Area) With(p Part, bits int) Area { return a.with(p, setOf(bits)) }
