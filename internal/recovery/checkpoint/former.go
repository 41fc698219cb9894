package checkpoint

import (
	"slices"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// A member that gives something up writes a last checkpoint that covers it, and then changes its claim. Its next
// checkpoint does not cover what it gave up. The new owner reads the checkpoints when it learns of the claim, and that
// may be the next one already: a member that gives up several parts in a row writes several within milliseconds. What
// the former said stays true, so the ledger keeps it until the new owner has read it. Without it the new owner sends
// once more what has arrived.

// formerFor is how long a former checkpoint is kept. It is longer than a handoff takes: its patience is 15 s.
const formerFor = 30 * time.Second

// maxFormer is the number of former checkpoints of one name. A member that takes part in a resync gives up some parts
// in each second, and a new owner reads within one or two of its claims. Each one costs what a checkpoint costs.
const maxFormer = 4

// former is a checkpoint that another one with another claim has replaced. Nothing in it is changed in place.
type former struct {
	entry
	until time.Time
	open  map[string]sumOf // sums with which we do not agree, or have not compared ours; it covers no such type
}

// replaced keeps a checkpoint that one with another claim replaces. The caller holds mu.
func (b *Ledger) replaced(name string, before, after entry) {
	if before.excepts && before.ring != nil && !before.sameClaim(after) {
		b.keep(name, before, (*b.contested.Load())[before.checkpoint.Member])
	}
}

// SetFormer takes a checkpoint that the one of this name has replaced before we saw it.
func (b *Ledger) SetFormer(name string, c Checkpoint) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.entryOf(name, c)
	if now, there := b.entries[name]; !ok || !e.excepts || !there || now.sameClaim(e) {
		return
	}
	open := make(map[string]sumOf)
	for typeName, t := range c.Types {
		if t.SumAt > 0 {
			open[typeName] = sumOf{sum: t.Sum, at: t.SumAt}
		}
		b.news.add(typeName)
	}
	b.keep(name, e, open)
	b.publish()
}

// keep keeps a former checkpoint, with its open sums. The caller holds mu.
func (b *Ledger) keep(name string, e entry, open map[string]sumOf) {
	b.news.put(name+" before", e) // Its successor takes its place in the news.
	kept := slices.DeleteFunc(b.formers[name], func(f former) bool { return f.sameClaim(e) })
	b.formers[name] = append(kept[max(len(kept)-maxFormer+1, 0):], former{e, time.Now().Add(formerFor), open})
}

// compareFormers compares the open sums of former checkpoints with ours. The caller holds mu.
func (b *Ledger) compareFormers(compare func(typeName string, version, sum uint64) Agreement) {
	for _, formers := range b.formers {
		for i, f := range formers {
			formers[i].open = left(f.open, compare, func(typeName string, _ uint64, _ Agreement) { b.news.add(typeName) })
		}
	}
}

// presentFormers forgets the former checkpoints whose time is over, and returns the others. The caller holds mu.
func (b *Ledger) presentFormers(now time.Time) (all []former) {
	for name, formers := range b.formers {
		formers = slices.DeleteFunc(formers, func(f former) bool { return now.After(f.until) })
		if b.formers[name] = formers; len(formers) == 0 {
			delete(b.formers, name)
		}
		all = append(all, formers...)
	}
	return all
}

// sameClaim tells whether two checkpoints of a member are for the same partitions.
func (e entry) sameClaim(o entry) bool {
	c, d := e.checkpoint, o.checkpoint
	return slices.Equal(c.View, d.View) && slices.Equal(c.Takes, d.Takes) && slices.Equal(c.Yields, d.Yields)
}

// formerlyCovers tells whether a former checkpoint says that a state of an object is acknowledged, unless its member
// excepts the object since.
func (b *Ledger) formerlyCovers(entries []entry, typeName string, id resource.ID, version uint64, partition int) bool {
	return slices.ContainsFunc(*b.former.Load(), func(f former) bool {
		_, open := f.open[typeName]
		return !open && f.covers(typeName, id, version, partition) && !excepted(entries, f.entry, typeName, id)
	})
}
