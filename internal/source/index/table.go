package index

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// table holds the entries of a type by key. It keeps slots in one slice and searches them with linear probing.
// It is used in place of a Go map, because a third or a half of the room of a Go map is empty. A new table is
// four fifths full. It is made anew when more than seven eighths or less than two fifths are full.
type table struct {
	seed  maphash.Seed
	slots []slot
	used  int
}

// slot holds an entry; the key of an empty slot is "".
type slot struct {
	key string
	entry
}

// leastSlots is the size of the smallest table.
const leastSlots = 8

func newTable() table { return table{seed: maphash.MakeSeed()} }

func (t *table) len() int { return t.used }

// home returns the index of the slot where the search for a key begins.
func (t *table) home(key string) int {
	i, _ := bits.Mul64(maphash.String(t.seed, key), uint64(len(t.slots)))
	return int(i)
}

// next returns the index of the slot after i.
func (t *table) next(i int) int {
	if i++; i < len(t.slots) {
		return i
	}
	return 0
}

// find returns the slot of a key, or the slot where the key would be.
func (t *table) find(key string) (s *slot, ok bool) {
	if len(t.slots) == 0 {
		return nil, false
	}
	for i := t.home(key); ; i = t.next(i) {
		switch s = &t.slots[i]; s.key {
		case key:
			return s, true
		case "":
			return s, false
		}
	}
}

func (t *table) get(key string) (e entry, ok bool) {
	if s, ok := t.find(key); ok {
		return s.entry, true
	}
	return entry{}, false
}

// set gives a key an entry. A key that is in the table keeps its string.
func (t *table) set(key string, e entry) {
	s, ok := t.find(key)
	if !ok {
		if t.used*8 >= len(t.slots)*7 {
			t.resize(t.used + 1)
			s, _ = t.find(key)
		}
		s.key = key
		t.used++
	}
	s.entry = e
}

// delete removes a key. Slots after it move up, so that no search ends too early.
func (t *table) delete(key string) {
	s, ok := t.find(key)
	if !ok {
		return
	}
	n := len(t.slots)
	free := t.home(key)
	for &t.slots[free] != s {
		free = t.next(free)
	}
	for i := t.next(free); t.slots[i].key != ""; i = t.next(i) {
		if from := t.home(t.slots[i].key); (i-from+n)%n >= (i-free+n)%n {
			t.slots[free], free = t.slots[i], i
		}
	}
	t.slots[free] = slot{}
	if t.used--; n > leastSlots && t.used*5 < n*2 {
		t.resize(t.used)
	}
}

// resize makes room for a number of entries.
func (t *table) resize(entries int) {
	old := t.slots
	t.slots = make([]slot, max(entries+entries/4+1, leastSlots))
	for i := range old {
		if old[i].key != "" {
			s, _ := t.find(old[i].key)
			*s = old[i]
		}
	}
}

// all yields the keys and their entries, which may be changed. No key may be added or removed meanwhile.
func (t *table) all() iter.Seq2[string, *entry] {
	return func(yield func(string, *entry) bool) {
		for i := range t.slots {
			if s := &t.slots[i]; s.key != "" && !yield(s.key, &s.entry) {
				return
			}
		}
	}
}

// keys yields the keys.
func (t *table) keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		for key := range t.all() {
			if !yield(key) {
				return
			}
		}
	}
}

// arena makes the keys of a list, side by side in blocks. If each key were a string of its own, gaps would stay
// between them after the list's own strings are gone. A block lives as long as any of its keys, so all blocks
// are never larger than the keys of the list.
type arena struct {
	left  int // bytes of the keys that have not been made
	block strings.Builder
}

const blockSize = 8 << 10

func newArena(rs []resource.Record) *arena {
	a := &arena{}
	for i := range rs {
		a.left += keySize(rs[i].Namespace, rs[i].Name)
	}
	return a
}

// key returns a [Key] in a block.
func (a *arena) key(namespace, name string) string {
	n := keySize(namespace, name)
	if a.block.Cap()-a.block.Len() < n {
		a.block = strings.Builder{}
		a.block.Grow(max(min(a.left, blockSize), n))
	}
	begin := a.block.Len()
	if namespace != "" || name == "" {
		a.block.WriteString(namespace)
		a.block.WriteByte('/')
	}
	a.block.WriteString(name)
	a.left -= n
	return a.block.String()[begin:]
}

// keySize is the length of a [Key].
func keySize(namespace, name string) int {
	if namespace == "" && name != "" {
		return len(name)
	}
	return len(namespace) + 1 + len(name)
}
