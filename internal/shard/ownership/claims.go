package ownership

import "github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"

// claimCache remembers which partitions a view gives to which member. Building a ring takes milliseconds and
// every Lease refers to one, so a ring is kept as long as a Lease refers to it.
type claimCache struct {
	format ring.Format
	name   string // of the format, as Leases carry it
	build  func([]string, ring.Format) (*ring.Ring, error)
	rings  map[string]*cachedRing
	all    Set
}

type cachedRing struct {
	ring   *ring.Ring // nil when no ring can be built
	err    error
	claims map[string]Set
	used   bool
}

func newClaimCache(f ring.Format, name string) *claimCache {
	return &claimCache{format: f, name: name, build: ring.New, rings: make(map[string]*cachedRing), all: fullSet(f.Partitions)}
}

// ring returns the ring of a view of our own format.
func (c *claimCache) ring(view []string) (*ring.Ring, error) {
	e := c.entry(view)
	return e.ring, e.err
}

func (c *claimCache) entry(view []string) *cachedRing {
	key := viewKey(view)
	e := c.rings[key]
	if e == nil {
		e = &cachedRing{claims: make(map[string]Set)}
		e.ring, e.err = c.build(view, c.format)
		c.rings[key] = e
	}
	e.used = true
	return e
}

// of returns the area that the Lease claims. A claim of another format, or one from which no ring can be built,
// may cover anything, and counts as one that covers everything.
func (c *claimCache) of(l *Lease) Area {
	if !l.claims() {
		return Area{}
	}
	if l.Format == c.name {
		if a, err := c.area(&l.Claim, l.Member); err == nil {
			return a
		}
	}
	return Area{rest: c.all}
}

// area returns the area that a member's claim of our own format covers. It fails when no ring can be built.
func (c *claimCache) area(cl *Claim, member string) (Area, error) {
	if len(cl.View) == 0 {
		return Area{}, nil
	}
	share, err := c.share(cl.View, member)
	if err != nil {
		return Area{}, err
	}
	a := Area{rest: share, cuts: make(map[Kind][]strip, len(cl.Yields)+len(cl.Takes))}
	for _, p := range cl.Yields {
		a.replace(p, Set{})
	}
	for _, p := range cl.Takes {
		a.replace(p, c.all)
	}
	return a, nil
}

// share returns the member's partitions under a view of our own format.
func (c *claimCache) share(view []string, member string) (Set, error) {
	e := c.entry(view)
	if e.ring == nil {
		return Set{}, e.err
	}
	s, ok := e.claims[member]
	if !ok {
		s = newSet(c.format.Partitions)
		for _, p := range e.ring.Partitions(member) {
			s.add(p)
		}
		e.claims[member] = s
	}
	return s, nil
}

// prune forgets the rings that no caller has asked for since the last call of prune.
func (c *claimCache) prune() {
	for key, e := range c.rings {
		if !e.used {
			delete(c.rings, key)
		}
		e.used = false
	}
}
