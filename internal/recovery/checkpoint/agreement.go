package checkpoint

import (
	"maps"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// A checkpoint speaks of what its member has seen. A member whose watch has lost an event says up to a later version
// that everything is acknowledged, and knows nothing of the change. So each of its entries carries the sum of the
// member's index ([Entry.Sum]), and who holds a copy of a change lets go of it when the sums agree:
//
//	        the sum is ours        the sum is ours, by now
//	said ──────────────────▶ agreed ◀────────────────┐
//	  │     we forgot ours                           │
//	  ╰───── another sum, or we are not there yet ──▶ contested

// Agreement is what we can say of a sum that another member has told.
type Agreement uint8

const (
	// Incomparable is a sum of a version that we know nothing of, or not any more.
	Incomparable Agreement = iota
	// Agreed is ours, too.
	Agreed
	// Contested is another one than ours, or of a version that we have not reached.
	Contested
)

// String returns it in lower case.
func (a Agreement) String() string { return [...]string{"incomparable", "agreed", "contested"}[a] }

// sumOf is what a member says of a type, as long as we do not agree with it.
type sumOf struct {
	sum, at uint64
	judged  bool
}

// contested are, by member and type, the sums that we do not agree with, or have not compared yet. It is immutable.
type contested map[string]map[string]sumOf

// said takes the sums of a member's checkpoint for its own partitions in place of what it said before. The caller
// holds mu.
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
	all := maps.Clone(*b.contested.Load())
	maps.DeleteFunc(all, func(member string, _ map[string]sumOf) bool {
		for _, e := range b.entries {
			if e.excepts && e.checkpoint.Member == member {
				return false
			}
		}
		return true
	})
	b.contested.Store(&all)
}

// Compare holds the sums that members have told against ours, where we have not agreed so far. What compare cannot tell
// at first is believed: there is nothing to hold it against. What has differed once, and is not comparable any more,
// stays contested until the member says something newer. Whatever has been agreed upon now is in the [News].
func (b *Ledger) Compare(compare func(typeName string, version, sum uint64) Agreement) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(contested)
	for member, sums := range *b.contested.Load() {
		left := make(map[string]sumOf, len(sums))
		for name, s := range sums {
			result := compare(name, s.at, s.sum)
			if result == Agreed {
				b.agreedAt.Store(name, time.Now())
			}
			if result == Agreed || result == Incomparable && !s.judged {
				b.agreed(member, name)
				continue
			}
			s.judged = true
			left[name] = s
		}
		all[member] = left
	}
	b.contested.Store(&all)
}

// agreed notes that what a member says of a type may be relied upon from now on. The caller holds mu.
func (b *Ledger) agreed(member, typeName string) {
	for name, e := range b.entries {
		if e.checkpoint.Member == member {
			b.news.add(typeName)
			b.news.put(name, e)
		}
	}
}

// Said returns the sum of a type that a member's checkpoint for its own partitions tells, and its version; 0 where it
// tells none. It takes no lock.
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

// Contests tells whether there are sums that have not been agreed upon.
func (b *Ledger) Contests() bool {
	for _, sums := range *b.contested.Load() {
		if len(sums) > 0 {
			return true
		}
	}
	return false
}

// Confirms is [Ledger.Covers] by the word of members alone that are known to have seen every event of the type as we
// have, or that nothing can be held against. It takes no lock.
func (b *Ledger) Confirms(typeName string, id resource.ID, version uint64) bool {
	contested := *b.contested.Load()
	return b.covers(typeName, id, version, func(member string) bool {
		_, open := contested[member][typeName]
		return !open
	})
}
