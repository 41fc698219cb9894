package checkpoint

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/ring"
)

// Book is all checkpoints of one target that have been seen. Create it with [NewBook].
type Book struct {
	fingerprint string
	format      ring.Format
	believed    atomic.Pointer[[]entry] // what Covers reads
	told        atomic.Pointer[said]
	doubts      atomic.Pointer[map[uint64]bool] // of others; what Doubtful reads

	mu    sync.Mutex // guards what follows
	pages map[string]entry
	words map[string]List       // told, by member
	waits map[string]List       // pending, by member
	named map[string]*named     // by member
	fares map[string]string     // figures by member
	rings map[string]*ring.Ring // by view; views are few and rings take milliseconds
}

// entry is one checkpoint with the partitions it speaks for.
type entry struct {
	checkpoint Checkpoint
	ring       *ring.Ring
	excepts    bool // names what is not acknowledged: it is for the member's own partitions, which may be all
}

// NewBook returns an empty book of the target with that fingerprint, under that ring format.
func NewBook(fingerprint string, format ring.Format) *Book {
	b := &Book{fingerprint: fingerprint, format: format, pages: map[string]entry{}, words: map[string]List{}, waits: map[string]List{}, named: map[string]*named{}, fares: map[string]string{}, rings: map[string]*ring.Ring{}}
	b.believed.Store(&[]entry{})
	return b
}

// Set takes a checkpoint under a name, in place of an earlier one. One whose name ends in /all speaks for all partitions, and
// names no exceptions. It returns whether it is believed: of this target
// and ring format, with a view from which a ring can be built.
func (b *Book) Set(name string, c Checkpoint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, name)
	defer b.publish()
	if c.Fingerprint != b.fingerprint || c.RingFormat != b.format.String() {
		return false
	}
	view := strings.Join(c.View, ",")
	r, ok := b.rings[view]
	if !ok {
		var err error
		if r, err = ring.New(c.View, b.format); err != nil {
			return false
		}
		b.rings[view] = r
	}
	b.pages[name] = entry{checkpoint: c, ring: r, excepts: !strings.HasSuffix(name, page("", allKey))}
	return true
}

// Delete forgets the checkpoint of that name. Objects that it has covered become unknown where no other covers them.
func (b *Book) Delete(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.pages, name)
	b.publish()
}

// publish makes what is believed visible, and forgets rings that no page needs. The caller holds mu.
func (b *Book) publish() {
	used := make(map[*ring.Ring]bool, len(b.pages))
	believed := make([]entry, 0, len(b.pages))
	for _, name := range slices.Sorted(maps.Keys(b.pages)) {
		believed = append(believed, b.pages[name])
		used[b.pages[name].ring] = true
	}
	maps.DeleteFunc(b.rings, func(_ string, r *ring.Ring) bool { return !used[r] })
	b.believed.Store(&believed)
}

// Covers tells whether some checkpoint says that a state of an object is acknowledged. It takes no lock.
func (b *Book) Covers(typeName string, id resource.ID, version uint64) bool {
	always := func(entry, Entry) bool { return true }
	_, covered := b.judge(typeName, id, version, always, always)
	return covered
}

// CoversDeletion tells whether some checkpoint says that a deletion is acknowledged, of which its member knows: it has
// seen every change since before, has taken somebody's word for it ([Beside]), or has named it itself. The deletion lies after
// one version and not after the other. It calls nobody and waits for no I/O.
func (b *Book) CoversDeletion(typeName string, id resource.ID, after, version uint64) bool {
	_, covered := b.judgeDeletion(typeName, id, after, version)
	return covered
}

// Disputed tells whether the only checkpoints that cover a deletion are of members that may know nothing of it.
func (b *Book) Disputed(typeName string, id resource.ID, after, version uint64) bool {
	spoken, covered := b.judgeDeletion(typeName, id, after, version)
	return spoken && !covered
}

// judgeDeletion is judge for a deletion. A checkpoint for all partitions names no exceptions: of deletions it speaks only
// up to the version that it gives for them, even if its member has watched, for what it has found may wait with it.
func (b *Book) judgeDeletion(typeName string, id resource.ID, after, version uint64) (spoken, counted bool) {
	return b.judge(typeName, id, version,
		func(p entry, e Entry) bool { return p.excepts || version <= e.deleted() },
		func(p entry, e Entry) bool { return b.knows(p, e, id, after, version) })
}

// judge goes through the checkpoints that cover a state, and tells whether there is one that speaks of it, and one that
// counts.
func (b *Book) judge(typeName string, id resource.ID, version uint64, speaks, counts func(entry, Entry) bool) (spoken, counted bool) {
	pages := *b.believed.Load()
	if len(pages) == 0 || version == 0 {
		return false, false
	}
	partition := b.format.Partition(string(id))
	for _, p := range pages {
		e, ok := p.checkpoint.Types[typeName]
		if ok && version <= e.High && p.ring.Owner(partition) == p.checkpoint.Member && e.Covers(id, version) && !excepted(pages, p, typeName, id) && speaks(p, e) {
			spoken = true
			if counts(p, e) {
				return true, true
			}
		}
	}
	return spoken, false
}

// excepted tells whether the member of a checkpoint says of an object, in whichever of its checkpoints, that it is not
// acknowledged. That for all partitions names no exceptions but what is refused.
func excepted(pages []entry, p entry, typeName string, id resource.ID) bool {
	return slices.ContainsFunc(pages, func(o entry) bool {
		return o.checkpoint.Member == p.checkpoint.Member && o.checkpoint.Types[typeName].excepts(id)
	})
}

func (b *Book) knows(p entry, e Entry, id resource.ID, after, version uint64) bool {
	if after >= e.Since || after == e.Searched && after > 0 {
		return true
	}
	t := b.told.Load()
	if t != nil && t.Sum != "" && p.checkpoint.Heard[t.member] == t.Sum && t.Deletions.has(id, version) {
		return true
	}
	return b.hasNamed(p.checkpoint, id, version)
}

// said is what we have told the others last.
type said struct {
	member string
	List
}

// Owns returns whether the ring of a view gives an ID to a member. The ring is kept as long as a checkpoint has it.
func (b *Book) Owns(member string, view []string) (func(resource.ID) bool, error) {
	b.mu.Lock()
	r, ok := b.rings[strings.Join(view, ",")]
	b.mu.Unlock()
	if !ok {
		var err error
		if r, err = ring.New(view, b.format); err != nil {
			return nil, err //nolint:wrapcheck // It says everything.
		}
	}
	return func(id resource.ID) bool { return r.Owner(r.Partition(string(id))) == member }, nil
}

// Bound returns the version up to which a type is acknowledged in every partition, deletions that nobody has watched
// among it, by the word of whoever knows best; 0 when nobody has said so.
func (b *Book) Bound(typeName string) uint64 {
	var bound uint64
	for _, p := range *b.believed.Load() {
		if p.all() {
			bound = max(bound, p.checkpoint.Types[typeName].deleted())
		}
	}
	return bound
}

// Acknowledged returns the version up to which every state of an object is acknowledged, deletions that nobody has
// watched aside, by the word of whoever knows best: of its owner, or of one that speaks for all partitions. It takes no
// lock.
func (b *Book) Acknowledged(typeName string, id resource.ID) uint64 {
	pages := *b.believed.Load()
	if len(pages) == 0 {
		return 0
	}
	var bound uint64
	partition, hash := b.format.Partition(string(id)), Short(id)
	for _, p := range pages {
		e := p.checkpoint.Types[typeName]
		if e.Low <= bound || p.ring.Owner(partition) != p.checkpoint.Member {
			continue
		}
		if !e.refuses(hash) { // What is excepted otherwise is above Low, or a deletion that nobody has watched.
			bound = e.Low
		}
	}
	return bound
}

// Figures returns what the other members say of how they fare, by member.
func (b *Book) Figures() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.fares)
}

func (b *Book) setFigures(member, figures string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fares[member] = figures
}

// Doubtful tells whether another member says that a request of unknown outcome may still change an object. It takes no
// lock.
func (b *Book) Doubtful(id resource.ID) bool {
	d := b.doubts.Load()
	return d != nil && len(*d) > 0 && (*d)[id.Hash()]
}

// setDoubts gathers what the members other than self are in doubt about.
func (b *Book) setDoubts(self string) {
	doubts := make(map[uint64]bool)
	for _, p := range *b.believed.Load() {
		if p.checkpoint.Member == self {
			continue
		}
		for _, h := range p.checkpoint.Doubts {
			doubts[h] = true
		}
	}
	b.doubts.Store(&doubts)
}

// Events returns, by type, the newest change that any other member had seen when it gave its word.
func (b *Book) Events(self string) map[string]uint64 {
	events := make(map[string]uint64)
	for _, p := range *b.believed.Load() {
		if p.checkpoint.Member == self {
			continue
		}
		for t, e := range p.checkpoint.Types {
			if e.Event > 0 {
				events[t] = max(events[t], e.Event)
			}
		}
	}
	return events
}

// all tells whether a checkpoint speaks for all partitions: one given under a view of its member alone.
func (e entry) all() bool {
	return len(e.checkpoint.View) == 1 && e.checkpoint.View[0] == e.checkpoint.Member
}

// Past is what the checkpoints of one moment say about the time before.
type Past struct {
	// Versions are, by type, those at which the receiver had what the API server had then, ascending: the one up to which
	// everything is acknowledged, and beyond it those up to which some member's own partitions are. What existed at one of
	// these and exists no longer was deleted since.
	Versions map[string][]uint64
	// Incarnations are the stays in the ring in which the checkpoints were given, by member.
	Incarnations map[string]string
}

// Past sums the checkpoints up, of all members or of those of which of returns true.
func (b *Book) Past(of func(member, incarnation string) bool) Past {
	past := Past{Versions: make(map[string][]uint64), Incarnations: make(map[string]string)}
	bounds := make(map[string]uint64)
	for _, p := range *b.believed.Load() {
		if of != nil && !of(p.checkpoint.Member, p.checkpoint.Incarnation) {
			continue
		}
		past.Incarnations[p.checkpoint.Member] = p.checkpoint.Incarnation
		for t, e := range p.checkpoint.Types {
			if p.all() {
				bounds[t] = max(bounds[t], e.deleted())
			}
			past.Versions[t] = append(append(past.Versions[t], e.Earlier...), e.High)
			if e.Until > 0 { // What is left out was there at Low, and may have been deleted since.
				past.Versions[t] = append(past.Versions[t], e.Low)
			}
		}
	}
	for t, v := range past.Versions {
		v = append(v, bounds[t])
		v = slices.DeleteFunc(v, func(version uint64) bool { return version == 0 || version < bounds[t] })
		slices.Sort(v)
		past.Versions[t] = slices.Compact(v)
	}
	maps.DeleteFunc(past.Versions, func(_ string, v []uint64) bool { return len(v) == 0 })
	return past
}

// Words returns, of a type, how far the members were when each gave its last word, own partitions only, and those before them
// whose place that has taken and whose names it still gives.
func (b *Book) Words(typeName string) []Word {
	var words []Word
	for _, p := range *b.believed.Load() {
		if e, ok := p.checkpoint.Types[typeName]; ok && p.excepts {
			words = append(words, p.words(e)...)
		}
	}
	return words
}

func (e entry) words(t Entry) []Word {
	words := []Word{{Member: e.checkpoint.Member, Incarnation: e.checkpoint.Incarnation, High: t.High}}
	for _, version := range t.Earlier {
		words = append(words, Word{Member: e.checkpoint.Member, High: version})
	}
	return words
}

// Word is how far a member was in a type when it gave its last word. One without an incarnation is of a process that is gone.
type Word struct {
	Member, Incarnation string
	High                uint64
}

// Len returns how many checkpoints are believed.
func (b *Book) Len() int { return len(*b.believed.Load()) }
