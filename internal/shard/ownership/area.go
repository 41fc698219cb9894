package ownership

import (
	"iter"
	"maps"
	"slices"
)

// Area is a set over objects and partitions: for most kinds of objects the same partitions, for some kinds other
// partitions, by ranges of namespaces. It is immutable; the zero Area is empty.
type Area struct {
	rest Set
	cuts map[Kind][]strip // kinds that differ from rest, if only in a range
}

// strip is the range of namespaces from a name to that of the next strip; the first strip of a kind begins with "".
type strip struct {
	from string
	set  Set
}

// Has tells whether an object of a kind, in a namespace and a partition, is in the area. It does not allocate.
func (a Area) Has(k Kind, namespace string, partition int) bool {
	if len(a.cuts) > 0 {
		for _, s := range slices.Backward(a.cuts[k]) {
			if s.from <= namespace {
				return s.set.Has(partition)
			}
		}
	}
	return a.rest.Has(partition)
}

// Rest returns the partitions of every kind of which no part is taken.
func (a Area) Rest() Set { return a.rest }

// Empty tells whether the area is empty.
func (a Area) Empty() bool { return a.rest.Len() == 0 && len(a.cuts) == 0 }

// Kinds yields the kinds of which the area has other partitions than Rest, if only in a range of namespaces.
func (a Area) Kinds() iter.Seq[Kind] { return maps.Keys(a.cuts) }

// Touches tells whether the area has any object of the target's kinds.
func (a Area) Touches(target string) bool {
	if a.rest.Len() > 0 {
		return true
	}
	for k := range a.cuts {
		if k.Target == target {
			return true
		}
	}
	return false
}

// TouchesKind tells whether the area has any object of the kind.
func (a Area) TouchesKind(k Kind) bool {
	return slices.ContainsFunc(a.strips(k), func(s strip) bool { return s.set.Len() > 0 })
}

// Apart tells whether the area has other partitions of the kind than Rest, if only in a range of namespaces.
func (a Area) Apart(k Kind) bool { return len(a.cuts[k]) > 0 }

// Equal tells whether both areas are the same.
func (a Area) Equal(o Area) bool { return a.Minus(o).Empty() && o.Minus(a).Empty() }

// Minus returns the objects and partitions that a has and o lacks.
func (a Area) Minus(o Area) Area { return combine(a, o, Set.minus) }

// Plus returns the objects and partitions that either area has.
func (a Area) Plus(o Area) Area { return combine(a, o, Set.plus) }

// And returns the objects and partitions that both areas have.
func (a Area) And(o Area) Area { return combine(a, o, Set.and) }

// covers tells whether the area has a part in every partition of all.
func (a Area) covers(p Part, all Set) bool {
	strips := a.strips(p.Kind)
	for i, s := range strips {
		ends := i == len(strips)-1 || strips[i+1].from > p.From
		if begins := p.Until == "" || s.from < p.Until; begins && ends && all.minus(s.set).Len() > 0 {
			return false
		}
	}
	return true
}

// least returns the partitions that the area has of every kind.
func (a Area) least() Set {
	least := a.rest
	for _, strips := range a.cuts {
		for _, s := range strips {
			least = least.and(s.set)
		}
	}
	return least
}

// with returns the area in which set replaces the partitions of a part.
func (a Area) with(p Part, set Set) Area {
	c := Area{rest: a.rest, cuts: make(map[Kind][]strip, len(a.cuts)+1)}
	maps.Copy(c.cuts, a.cuts)
	c.replace(p, set)
	return c
}

// replace has set replace the partitions of a part in an area that is being built.
func (a *Area) replace(p Part, set Set) {
	inside := newSet(1)
	mask := []strip{{from: p.From, set: inside}}
	if p.From != "" {
		mask = slices.Insert(mask, 0, strip{})
	}
	if p.Until != "" {
		mask = append(mask, strip{from: p.Until})
	}
	a.put(p.Kind, zip(a.strips(p.Kind), mask, func(old, mark Set) Set {
		if mark.words != nil {
			return set
		}
		return old
	}))
}

// strips returns the strips of a kind.
func (a Area) strips(k Kind) []strip {
	if s, ok := a.cuts[k]; ok {
		return s
	}
	return []strip{{set: a.rest}}
}

// put sets the strips of a kind in an area that is being built. Neighbours that are alike become one, and a kind
// that is like the rest is no cut.
func (a *Area) put(k Kind, strips []strip) {
	strips = slices.CompactFunc(strips, func(x, y strip) bool { return x.set.Equal(y.set) })
	if len(strips) == 1 && strips[0].set.Equal(a.rest) {
		delete(a.cuts, k)
		return
	}
	a.cuts[k] = strips
}

// combine applies an operation to the partitions that the two areas have of each kind and namespace.
func combine(a, b Area, op func(x, y Set) Set) Area {
	c := Area{rest: op(a.rest, b.rest)}
	if len(a.cuts) == 0 && len(b.cuts) == 0 {
		return c
	}
	c.cuts = make(map[Kind][]strip, len(a.cuts)+len(b.cuts))
	for k := range a.cuts {
		c.put(k, zip(a.cuts[k], b.strips(k), op))
	}
	for k := range b.cuts {
		if _, done := a.cuts[k]; !done {
			c.put(k, zip(a.strips(k), b.cuts[k], op))
		}
	}
	return c
}

func zip(a, b []strip, op func(x, y Set) Set) []strip {
	var c []strip
	for i, j := 0, 0; ; {
		c = append(c, strip{max(a[i].from, b[j].from), op(a[i].set, b[j].set)})
		moreA, moreB := i+1 < len(a), j+1 < len(b)
		switch {
		case !moreA && !moreB:
			return c
		case moreA && (!moreB || a[i+1].from < b[j+1].from):
			i++
		case moreB && (!moreA || b[j+1].from < a[i+1].from):
			j++
		default:
			i++
			j++
		}
	}
}
