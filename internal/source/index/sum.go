package index

import (
	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// maxPast bounds the remembered sums of a type. At 200 changes of the type a second, they reach back 2.5 s,
// which is longer than a sum takes from one member to another. Each takes 16 bytes.
const maxPast = 512

// Sum sums up the known objects of a type at a version. Two indexes that have seen every change up to a version
// have the same sum there. If their sums differ, one index has lost an event.
type Sum struct {
	// Version is the version since which the sum holds: that of the last list or of the last change.
	Version uint64
	// Objects is how many objects are summed.
	Objects int
	// Hash is the XOR of their [Hash] values.
	Hash uint64
}

// Add adds an object at a version to the sum.
func (s *Sum) Add(namespace, name string, version uint64) {
	s.Objects++
	s.Hash ^= Hash(namespace, name, version)
}

// Same tells whether two sums are of the same objects in the same states, whatever their versions.
func (s Sum) Same(o Sum) bool { return s.Objects == o.Objects && s.Hash == o.Hash }

// Hash returns the value that one object adds to a [Sum].
func Hash(namespace, name string, version uint64) uint64 {
	return hashName(namespace, name).at(version)
}

// nameHash is the part of a [Hash] that no event changes.
type nameHash uint64

func hashName(namespace, name string) nameHash {
	return nameHash(mix(xxhash.Sum64String(namespace)) + xxhash.Sum64String(name))
}

func (h nameHash) at(version uint64) uint64 { return mix(uint64(h) ^ mix(version)) }

// mix is the finalizer of SplitMix64. Each bit of its argument changes half of the bits of the result, so that
// the results of successive versions have nothing in common. XOR of the versions themselves would let them
// cancel each other out.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// sums are the running sum of a type and its last values. The lock of the type guards them.
type sums struct {
	hash uint64
	left int // objects that are left out of the sum

	past []pastSum // a ring of maxPast at most; ascending from first on
	next int       // the place of the next value once the ring is full
}

// pastSum is the value of the running sum from a version on.
type pastSum struct{ version, hash uint64 }

// replace replaces one state of an object by another.
func (s *sums) replace(h nameHash, had bool, old uint64, has bool, version uint64) {
	if had {
		s.hash ^= h.at(old)
	}
	if has {
		s.hash ^= h.at(version)
	}
}

// note remembers the sum at the version of an event; reached is the version that the watch has reached. Versions
// ascend. If one does not, the sums at the versions in between are ambiguous, and note forgets them.
func (s *sums) note(version, reached uint64) {
	if n := len(s.past); version < reached || n > 0 && version <= s.at(n-1).version {
		s.restart(reached + 1)
		return
	}
	p := pastSum{version: version, hash: s.hash}
	if len(s.past) < maxPast {
		s.past = append(s.past, p)
		return
	}
	s.past[s.next] = p
	s.next = (s.next + 1) % maxPast
}

// restart forgets all past sums: the present sum holds from a version on.
func (s *sums) restart(version uint64) {
	s.past, s.next = append(s.past[:0], pastSum{version: version, hash: s.hash}), 0
}

// at returns the i-th value, the oldest first.
func (s *sums) at(i int) pastSum { return s.past[(s.next+i)%len(s.past)] }

// since returns the version from which on the present sum holds.
func (s *sums) since() (uint64, bool) {
	if len(s.past) == 0 {
		return 0, false
	}
	return s.at(len(s.past) - 1).version, true
}

// find returns the sum at a version that the watch has reached.
func (s *sums) find(version uint64) (uint64, bool) {
	if len(s.past) == 0 || version < s.at(0).version {
		return 0, false
	}
	low, high := 0, len(s.past)-1
	for low < high { // find the last value that is not after version
		if mid := (low + high + 1) / 2; s.at(mid).version <= version {
			low = mid
		} else {
			high = mid - 1
		}
	}
	return s.at(low).hash, true
}

// LeaveOut leaves the objects that f names out of all sums. It must be called before the first list. It is for
// the objects that members write themselves: otherwise each member would write because another has written.
func (x *Index) LeaveOut(f func(t resource.Type, namespace, name string) bool) { x.leftOut = f }

// LeftOut tells whether an object is left out of the sums.
func (x *Index) LeftOut(t resource.Type, namespace, name string) bool {
	return x.leftOut != nil && x.leftOut(t, namespace, name)
}

// summed notes that an event has replaced an object's state. For a state of a list, event is [ofList], because a
// list is noted as a whole.
func (x *Index) summed(t resource.Type, o *objects, namespace, name string, old, now stateVersion, event uint64) {
	if x.LeftOut(t, namespace, name) {
		if old.known != now.known {
			o.sums.left += 1 - 2*btoi(old.known)
		}
		return
	}
	if old == now {
		return
	}
	o.sums.replace(hashName(namespace, name), old.known, old.version, now.known, now.version)
	if event != ofList {
		o.sums.note(event, o.version)
	}
}

// ofList stands for the version of an event where the state is from a list.
const ofList = ^uint64(0)

// stateVersion is the version of an object's state; known is false for an object that does not exist.
type stateVersion struct {
	known   bool
	version uint64
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// resum computes the sum anew, after versions have changed in place.
func (x *Index) resum(t resource.Type, o *objects) {
	o.sums.hash, o.sums.left = 0, 0
	for k, e := range o.entries.all() {
		namespace, name := split(k)
		x.summed(t, o, namespace, name, stateVersion{}, stateVersion{known: true, version: e.version}, ofList)
	}
}

// Sum returns the present sum of a type. It returns false if the sum cannot be compared, because the type has
// not been listed or its versions are no numbers.
func (x *Index) Sum(t resource.Type) (Sum, bool) {
	o := x.lock(t, false)
	if o == nil {
		return Sum{}, false
	}
	defer o.mu.Unlock()
	since, ok := o.sums.since()
	if !o.listed || o.version == 0 || !ok || since > o.version {
		return Sum{}, false
	}
	return Sum{Version: since, Objects: o.entries.len() - o.sums.left, Hash: o.sums.hash}, true
}

// Reach says what an index knows of a version.
type Reach uint8

// What an index may know of a version.
const (
	// Unknown is a version of a type that has not been listed, or one that is forgotten.
	Unknown Reach = iota
	// Ahead is a version that the watch has not reached.
	Ahead
	// Reached is a version whose sum is known.
	Reached
)

// String returns the name of r in lower case.
func (r Reach) String() string { return [...]string{"unknown", "ahead", "reached"}[r] }

// SumAt returns the hash of the sum of a type at a version, if the version is [Reached]. It costs no allocation.
func (x *Index) SumAt(t resource.Type, version uint64) (uint64, Reach) {
	o := x.lock(t, false)
	if o == nil {
		return 0, Unknown
	}
	defer o.mu.Unlock()
	switch hash, ok := o.sums.find(version); {
	case !o.listed || o.version == 0:
		return 0, Unknown
	case version > o.version:
		return 0, Ahead
	case !ok:
		return 0, Unknown
	default:
		return hash, Reached
	}
}

// SummedSince returns the oldest version at which the sum of a type is remembered; 0 for none.
func (x *Index) SummedSince(t resource.Type) uint64 {
	o := x.lock(t, false)
	if o == nil {
		return 0
	}
	defer o.mu.Unlock()
	if len(o.sums.past) == 0 {
		return 0
	}
	return o.sums.at(0).version
}

// Summed calls f for each type that has a [Sum], in their order.
func (x *Index) Summed(f func(t resource.Type, s Sum)) {
	for _, t := range x.Types() {
		if s, ok := x.Sum(t); ok {
			f(t, s)
		}
	}
}
