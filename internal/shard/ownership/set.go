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

// Len returns the number of partitions in the set.
func (s Set) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// Equal tells whether both sets have the same partitions.
func (s Set) Equal(o Set) bool {
	for i := range max(len(s.words), len(o.words)) {
		if s.word(i) != o.word(i) {
			return false
		}
	}
	return true
}

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

// minus returns the partitions that s has and o lacks.
func (s Set) minus(o Set) Set {
	d := Set{words: make([]uint64, len(s.words))}
	for i, w := range s.words {
		d.words[i] = w &^ o.word(i)
	}
	return d
}

// and returns the partitions that both sets have.
func (s Set) and(o Set) Set {
	d := Set{words: make([]uint64, len(s.words))}
	for i, w := range s.words {
		d.words[i] = w & o.word(i)
	}
	return d
}

// plus returns the partitions that either set has.
func (s Set) plus(o Set) Set {
	d := Set{words: make([]uint64, max(len(s.words), len(o.words)))}
	for i := range d.words {
		d.words[i] = s.word(i) | o.word(i)
	}
	return d
}

func (s Set) word(i int) uint64 {
	if i < len(s.words) {
		return s.words[i]
	}
	return 0
}
