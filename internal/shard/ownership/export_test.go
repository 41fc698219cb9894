package ownership

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// Break switches off a rule of the protocol, so that tests can show that each rule is needed.
func (m *Machine) Break(r string) { m.off = rule(r) }

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

// With returns the area in which the partitions whose bits are set replace those of a part.
func (a Area) With(p Part, bits int) Area { return a.with(p, setOf(bits)) }
