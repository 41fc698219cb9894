package checkpoint

import (
	"maps"
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// A checkpoint speaks of the changes that its member has seen. A member whose watch has lost an event claims that
// everything is acknowledged up to a later version, and does not know the change. So each of its entries carries the
// sum of its index ([Entry.Sum]). A member that holds a copy of a change forgets the copy only when the sums agree:
//
//	        the sum is ours        the sum is ours, by now
//	said ──────────────────▶ agreed ◀────────────────┐
//	  │     we forgot ours                           │
//	  ╰───── another sum, or we are not there yet ──▶ contested

// Agreement is the result of comparing another member's sum with ours.
type Agreement uint8

const (
	// Incomparable is a sum of a version for which we have no sum, or have it no longer.
	Incomparable Agreement = iota
	// Agreed is a sum that equals ours.
	Agreed
	// Contested is a sum that differs from ours, or is of a version that we have not reached.
	Contested
)

// String returns the agreement in lower case.
func (a Agreement) String() string { return [...]string{"incomparable", "agreed", "contested"}[a] }

// sumOf is a member's sum of a type, as long as we have not agreed with it.
type sumOf struct {
	sum, at uint64
	judged  bool
}

// contested are, by member and type, the sums with which we do not agree, or have not compared ours. It is
// immutable.
type contested map[string]map[string]sumOf

// said replaces a member's earlier sums by those of its new checkpoint for its own partitions. The caller holds mu.
func (b *Ledger) said(before, c Checkpoint) {
	all := maps.Clone(*b.contested.Load())
	open := make(map[string]sumOf)
	for name, e := range c.Types {
		was := before.Types[name]
		switch o, contested := all[c.Member][name]; {
		case e.SumAt == 0:
		case e.SumAt != was.SumAt || e.Sum != was.Sum:
			open[name] = sumOf{sum: e.Sum, at: e.SumAt}
		case contested:
			open[name] = o
		}
	}
	all[c.Member] = open
	b.contested.Store(&all)
}

// unsaid forgets the sums of members without a checkpoint. The caller holds mu.
func (b *Ledger) unsaid() {
	gone := func(member string) bool {
		for _, e := range b.entries {
			if e.excepts && e.checkpoint.Member == member {
				return false
			}
		}
		return true
	}
	all := maps.Clone(*b.contested.Load())
	maps.DeleteFunc(all, func(member string, _ map[string]sumOf) bool { return gone(member) })
	b.contested.Store(&all)
	maps.DeleteFunc(b.agreedTo, func(member string, _ map[string]uint64) bool { return gone(member) })
}

// Compare compares the members' sums with ours, where we have not agreed before. A sum that is incomparable at first
// is believed, because there is no evidence against it. A sum that has differed once, and is not comparable any
// more, stays contested until the member tells a newer one. Types with a new agreement are in the [News].
func (b *Ledger) Compare(compare func(typeName string, version, sum uint64) Agreement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(contested)
	for member, sums := range *b.contested.Load() {
		all[member] = left(sums, compare, func(name string, version uint64, result Agreement) {
			if result == Agreed {
				b.agreedAt.Store(name, time.Now())
				b.agreeTo(member, name, version)
			}
			b.agreed(member, name)
		})
	}
	b.contested.Store(&all)
	if len(b.formers) > 0 {
		b.compareFormers(compare)
		b.publish()
	}
}

// left returns those of the sums against which a comparison leaves evidence. It calls agreed for the others.
func left(sums map[string]sumOf, compare func(typeName string, version, sum uint64) Agreement, agreed func(name string, version uint64, result Agreement)) map[string]sumOf {
	left := make(map[string]sumOf, len(sums))
	for name, s := range sums {
		result := compare(name, s.at, s.sum)
		if result == Agreed || result == Incomparable && !s.judged {
			agreed(name, s.at, result)
			continue
		}
		s.judged = true
		left[name] = s
	}
	return left
}

// agreeTo notes that a member's sum of a type was ours at a version. The caller holds mu.
func (b *Ledger) agreeTo(member, typeName string, version uint64) {
	if b.agreedTo[member] == nil {
		b.agreedTo[member] = make(map[string]uint64)
	}
	b.agreedTo[member][typeName] = version
}

// agreed notes that a member's entries of a type can be relied upon. The caller holds mu.
func (b *Ledger) agreed(member, typeName string) {
	for name, e := range b.entries {
		if e.checkpoint.Member == member {
			b.news.add(typeName)
			b.news.put(name, e)
		}
	}
}

// Said returns the sum of a type in a member's checkpoint for its own partitions, and the version of the sum; 0
// where it has none. It takes no lock.
func (b *Ledger) Said(member, typeName string) (sum, version uint64) {
	for _, p := range *b.believed.Load() {
		if p.excepts && p.checkpoint.Member == member {
			e := p.checkpoint.Types[typeName]
			return e.Sum, e.SumAt
		}
	}
	return 0, 0
}

// AgreedAt returns when the sum of a type that some member tells was last found to be ours; zero for never. It takes no
// lock.
func (b *Ledger) AgreedAt(typeName string) time.Time {
	at, _ := b.agreedAt.Load(typeName)
	t, _ := at.(time.Time)
	return t
}

// AgreedTo returns the version at which the sum of a type that a member tells was last found to be ours; 0 for never.
// Up to there, the member had seen every change that we had seen then.
func (b *Ledger) AgreedTo(member, typeName string) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.agreedTo[member][typeName]
}

// Contests tells whether there are sums with which we have not agreed.
func (b *Ledger) Contests() bool {
	for _, sums := range *b.contested.Load() {
		if len(sums) > 0 {
			return true
		}
	}
	return slices.ContainsFunc(*b.former.Load(), func(f former) bool { return len(f.open) > 0 })
}

// Confirms is [Ledger.Covers], but ignores members with a contested sum of the type: they may not have seen every
// event that we have seen. It takes no lock.
func (b *Ledger) Confirms(typeName string, id resource.ID, version uint64) bool {
	contested := *b.contested.Load()
	return b.covers(typeName, id, version, func(member string) bool {
		_, open := contested[member][typeName]
		return !open
	})
}
