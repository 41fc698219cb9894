package ownership

import (
	"iter"
	"math/bits"
)

// Set is a set of partitions. It is immutable once it has left this package; the zero Set is empty.
type Set struct{ words []uint64 }

// newSet returns an empty set with room for n partitions.
func newSet(n int) Set { return Set{words: make([]uint64, (n+63)/64)} }

// fullSet returns the set of the partitions 0 to n-1.
func fullSet(n int) Set {
	s := newSet(n)
	for p := range n {
		s.add(p)
	}
	return s
}

// Has tells whether the partition is in the set. It does not allocate.
func (s Set) Has(partition int) bool {
	if partition < 0 || partition >= len(s.words)*64 {
		return false
	}
	return s.words[partition/64]&(1<<(partition%64)) != 0
}

// Len returns how many partitions are in the set.
func (s Set) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Equal tells whether both sets have the same partitions.
func (s Set) Equal(o Set) bool { return s.Len() == o.Len() && s.minus(o).Len() == 0 }

// All yields the partitions, ascending.
func (s Set) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range s.words {
			for ; w != 0; w &= w - 1 {
				if !yield(i*64 + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

func (s Set) add(partition int) { s.words[partition/64] |= 1 << (partition % 64) }

func (s Set) clone() Set { return Set{words: append([]uint64(nil), s.words...)} }

// keep removes from s what o lacks.
func (s Set) keep(o Set) {
	for i := range s.words {
		if i < len(o.words) {
			s.words[i] &= o.words[i]
		} else {
			s.words[i] = 0
		}
	}
}

// remove removes from s what o has.
func (s Set) remove(o Set) {
	for i := range min(len(s.words), len(o.words)) {
		s.words[i] &^= o.words[i]
	}
}

// include adds to s what o has; s must have room for it.
func (s Set) include(o Set) {
	for i := range o.words {
		s.words[i] |= o.words[i]
	}
}

// minus returns what s has and o lacks.
func (s Set) minus(o Set) Set {
	d := s.clone()
	d.remove(o)
	return d
}

// Without returns the set without some partitions.
func (s Set) Without(partitions iter.Seq[int]) Set {
	left := s.clone()
	for p := range partitions {
		if left.Has(p) {
			left.words[p/64] &^= 1 << (p % 64)
		}
	}
	return left
}
