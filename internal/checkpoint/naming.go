package checkpoint

import (
	"maps"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// What the members name of deletions, and who knows of one because of that.

// Deletions returns what the other members tell, by member; until we have written anything, also what we told in an earlier
// stay.
func (b *Book) Deletions() map[string]List {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.words)
}

// Pending returns which deletions wait at the other members, by member; until we have written anything, also those that
// waited at us in an earlier stay.
func (b *Book) Pending() map[string]List {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.waits)
}

// Drop forgets what is on a list of pending deletions, but not its name: members that are gone for good leave theirs for
// good, and once taken it is of no use.
func (b *Book) Drop(member, sum string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, ok := b.waits[member]; ok && l.Sum == sum {
		l.Deletions = nil
		b.waits[member] = l
	}
}

// setDeletions takes a member's lists, of one stay in the ring, after its checkpoints of the same time or later ones: by an
// earlier one the member says nothing of what it names. news tells whether they are to be heard.
func (b *Book) setDeletions(member, incarnation string, told, pending Deletions, news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if news {
		b.words[member], b.waits[member] = list(incarnation, told), list(incarnation, pending)
		nothing := func(_ string, l List) bool { return l.Sum == "" }
		maps.DeleteFunc(b.words, nothing)
		maps.DeleteFunc(b.waits, nothing)
	}
	b.name(member, incarnation, told, pending)
}

// setTold takes what we have told. Of what waited at us in an earlier stay nothing is news any more.
func (b *Book) setTold(member, incarnation string, told Deletions) {
	b.told.Store(&said{member: member, List: list(incarnation, told)})
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.words, member)
	delete(b.waits, member)
}

// named is what a member has named, by keyOf.
type named struct {
	incarnation   string
	told, pending map[uint64]struct{} // now
	ever          map[uint64]struct{} // among what is pending, in this stay
}

// maxNamed bounds named.ever. Beyond it the past is forgotten, which costs deletions too many.
const maxNamed = 4 * MaxPending

// name notes what a member names. The caller holds mu.
func (b *Book) name(member, incarnation string, told, pending Deletions) {
	n := b.named[member]
	if n == nil || n.incarnation != incarnation {
		n = &named{incarnation: incarnation, ever: map[uint64]struct{}{}}
		b.named[member] = n
	}
	n.told, n.pending = keys(told), keys(pending)
	if len(n.ever)+len(n.pending) > maxNamed {
		clear(n.ever)
	}
	maps.Copy(n.ever, n.pending)
}

// hasNamed tells whether a checkpoint's member knows of a deletion because it has named it itself as pending, or has taken a
// list that names it: whoever takes a list keeps all of it that is not known to be delivered.
func (b *Book) hasNamed(c Checkpoint, id resource.ID, version uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.named) == 0 {
		return false
	}
	key := keyOf(id, version)
	has := func(set map[uint64]struct{}) bool {
		_, ok := set[key]
		return ok
	}
	if n := b.named[c.Member]; n != nil && n.incarnation == c.Incarnation && has(n.ever) {
		return true
	}
	for member, n := range b.named {
		if sum := c.Taken[member]; sum != "" && sum == b.waits[member].Sum && has(n.pending) {
			return true
		}
		if sum := c.Heard[member]; sum != "" && sum == b.words[member].Sum && has(n.told) {
			return true
		}
	}
	return false
}

func keys(d Deletions) map[uint64]struct{} {
	if len(d) == 0 {
		return nil
	}
	set := make(map[uint64]struct{}, len(d))
	for _, e := range d {
		set[keyOf(e.ID, e.Version)] = struct{}{}
	}
	return set
}

// keyOf names a deletion. Two with one key, of which one in a million millions is expected, would cost a deletion.
func keyOf(id resource.ID, version uint64) uint64 { return id.Hash() ^ version*0x9e3779b97f4a7c15 }
