package checkpoint

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ring"
)

// Ledger is all checkpoints of one target that this member has seen. Create it with [NewLedger].
type Ledger struct {
	fingerprint string
	format      ring.Format
	believed    atomic.Pointer[[]entry]               // what Covers reads
	former      atomic.Pointer[[]former]              // what Covers reads, too; see former.go
	delivered   atomic.Pointer[[]map[uint64]struct{}] // by the other members; what Delivered reads
	inDoubt     atomic.Pointer[map[uint64]Doubt]      // of others; what Doubtful reads
	contested   atomic.Pointer[contested]             // what Confirms reads
	agreedAt    sync.Map                              // when a sum of a type was last ours, by its name

	mu       sync.Mutex                   // guards what follows
	agreedTo map[string]map[string]uint64 // the version up to which a sum was last ours, by member and type
	entries  map[string]entry
	formers  map[string][]former   // by the same names, the oldest first
	lists    map[string]List       // of the other members
	stats    map[string]string     // of the other members
	rings    map[string]*ring.Ring // by view; views are few and rings take milliseconds
	news     News
}

// News says which checkpoints may cover more than before.
type News struct {
	all       bool
	types     map[string]bool
	delivered bool
	format    ring.Format
	entries   map[string]entry // new ones, by name
}

// Of tells whether objects of a type may have become covered, or, if named, delivered by name.
func (n News) Of(typeName string, named bool) bool {
	if named {
		return n.delivered
	}
	return n.all || n.types[typeName] || n.types[other(typeName)]
}

// Touches tells whether one of the new checkpoints may cover a state of an object: it covers the object's
// partition, and reaches the version. In a large fleet that is far cheaper than [Ledger.Covers], because few
// members write in one second.
func (n News) Touches(typeName string, id resource.ID, version uint64) bool {
	if n.all {
		return true
	}
	partition := n.format.Partition(string(id))
	for _, e := range n.entries {
		if of, ok := e.checkpoint.of(typeName, id); ok && version <= of.High && e.owns(typeName, id, partition) {
			return true
		}
	}
	return false
}

// News returns the news since the last call.
func (b *Ledger) News() News {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.news
	n.format = b.format
	b.news = News{}
	return n
}

// note adds a checkpoint that replaces another to the news. The caller holds mu.
func (b *Ledger) note(name string, before, after entry) {
	c := after.checkpoint
	b.news.put(name, after)
	if before.ring == nil || !slices.Equal(before.checkpoint.View, c.View) {
		b.news.all = true
		return
	}
	for name, e := range c.Types {
		if o, ok := before.checkpoint.Types[name]; !ok || !reflect.DeepEqual(o, e) {
			b.news.add(name)
		}
	}
}

// put adds a new checkpoint.
func (n *News) put(name string, e entry) {
	if n.entries == nil {
		n.entries = make(map[string]entry)
	}
	n.entries[name] = e
}

// add adds a type of which more may be covered.
func (n *News) add(typeName string) {
	if n.types == nil {
		n.types = make(map[string]bool)
	}
	n.types[typeName] = true
	if all := slicesOf(typeName); all != "" {
		n.types[all] = true
	}
}

// entry is one checkpoint with the partitions that it covers.
type entry struct {
	checkpoint Checkpoint
	ring       *ring.Ring
	excepts    bool // it has exceptions, and is for the member's own partitions, which may be all
}

// NewLedger returns an empty ledger of the target with that fingerprint, under that ring format.
func NewLedger(fingerprint string, format ring.Format) *Ledger {
	b := &Ledger{
		fingerprint: fingerprint, format: format, agreedTo: map[string]map[string]uint64{}, entries: map[string]entry{}, formers: map[string][]former{},
		lists: map[string]List{}, stats: map[string]string{}, rings: map[string]*ring.Ring{},
	}
	b.believed.Store(&[]entry{})
	b.former.Store(&[]former{})
	b.delivered.Store(&[]map[uint64]struct{}{})
	b.contested.Store(&contested{})
	return b
}

// Set takes a checkpoint under a name, in place of an earlier one. A name that ends in /all stands for a checkpoint
// of all partitions, which has no exceptions. Set tells whether the checkpoint is believed: it must be of this
// target and ring format, and its view must make a ring.
func (b *Ledger) Set(name string, c Checkpoint) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.entries[name]
	delete(b.entries, name)
	defer b.publish()
	defer b.unsaid()
	after, ok := b.entryOf(name, c)
	if !ok {
		return false
	}
	b.note(name, before, after)
	b.replaced(name, before, after)
	b.entries[name] = after
	if after.excepts {
		b.said(before.checkpoint, c)
	}
	return true
}

// entryOf returns the entry of a checkpoint, and whether the checkpoint is believed. The caller holds mu.
func (b *Ledger) entryOf(name string, c Checkpoint) (entry, bool) {
	if c.Fingerprint != b.fingerprint || c.RingFormat != b.format.String() {
		return entry{}, false
	}
	view := strings.Join(c.View, ",")
	r, ok := b.rings[view]
	if !ok {
		var err error
		if r, err = ring.New(c.View, b.format); err != nil {
			return entry{}, false
		}
		b.rings[view] = r
	}
	return entry{checkpoint: c, ring: r, excepts: !strings.HasSuffix(name, entryName("", allKey))}, true
}

// Delete forgets the checkpoint of that name. Objects that only this checkpoint covered become unknown.
func (b *Ledger) Delete(name string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, name)
	delete(b.formers, name)
	b.unsaid()
	b.publish()
}

// clear forgets all checkpoints.
func (b *Ledger) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.entries)
	clear(b.formers)
	clear(b.agreedTo)
	b.contested.Store(&contested{})
	b.publish()
}

// publish makes the believed checkpoints visible, and forgets former ones whose time is over, and rings that no entry
// needs. The caller holds mu.
func (b *Ledger) publish() {
	used := make(map[*ring.Ring]bool, len(b.entries))
	believed := make([]entry, 0, len(b.entries))
	for _, name := range slices.Sorted(maps.Keys(b.entries)) {
		believed = append(believed, b.entries[name])
		used[b.entries[name].ring] = true
	}
	formers := b.presentFormers(time.Now())
	for _, f := range formers {
		used[f.ring] = true
	}
	b.former.Store(&formers)
	maps.DeleteFunc(b.rings, func(_ string, r *ring.Ring) bool { return !used[r] })
	b.believed.Store(&believed)
}

// Covers tells whether some checkpoint says that a state of an object is acknowledged. It takes no lock.
func (b *Ledger) Covers(typeName string, id resource.ID, version uint64) bool {
	return b.covers(typeName, id, version, func(string) bool { return true })
}

// covers is [Ledger.Covers] by the checkpoints of members for which relied returns true.
func (b *Ledger) covers(typeName string, id resource.ID, version uint64, relied func(member string) bool) bool {
	entries := *b.believed.Load()
	if len(entries) == 0 || version == 0 {
		return false
	}
	partition := b.format.Partition(string(id))
	return slices.ContainsFunc(entries, func(p entry) bool {
		return p.covers(typeName, id, version, partition) && relied(p.checkpoint.Member) && !excepted(entries, p, typeName, id)
	}) || b.formerlyCovers(entries, typeName, id, version, partition)
}

// covers tells whether a checkpoint says that a state of an object is acknowledged.
func (e *entry) covers(typeName string, id resource.ID, version uint64, partition int) bool {
	of, ok := e.checkpoint.of(typeName, id)
	return ok && version <= of.High && e.owns(typeName, id, partition) && of.Covers(id, version)
}

// excepted tells whether the member of a checkpoint excepts an object in any of its checkpoints. The one for all
// partitions excepts only refused objects.
func excepted(entries []entry, p entry, typeName string, id resource.ID) bool {
	return slices.ContainsFunc(entries, func(o entry) bool {
		if o.checkpoint.Member != p.checkpoint.Member {
			return false
		}
		e, _ := o.checkpoint.of(typeName, id)
		return e.excepts(id)
	})
}

// Delivered tells whether another member names the deletion or state with that [Name] as delivered. It takes no
// lock.
func (b *Ledger) Delivered(name uint64) bool {
	return slices.ContainsFunc(*b.delivered.Load(), func(names map[uint64]struct{}) bool {
		_, ok := names[name]
		return ok
	})
}

// Lists returns the tombstones that the other members name, by member.
func (b *Ledger) Lists() map[string]List {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.lists)
}

// setList takes the tombstones that another member names.
func (b *Ledger) setList(member string, l List) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lists[member] = l
	var all []map[uint64]struct{}
	for _, l := range b.lists {
		if len(l.Delivered) > 0 {
			all = append(all, l.Delivered)
		}
	}
	b.delivered.Store(&all)
	b.news.delivered = true
}

// Owns returns a function that tells whether a member's checkpoint, under a view and with its takes and yields,
// covers an object. The ledger keeps the ring as long as a checkpoint has it.
func (b *Ledger) Owns(member string, view []string, takes, yields []Part) (func(typeName string, id resource.ID) bool, error) {
	b.mu.Lock()
	r, ok := b.rings[strings.Join(view, ",")]
	b.mu.Unlock()
	if !ok {
		var err error
		if r, err = ring.New(view, b.format); err != nil {
			return nil, err // The error needs no context.
		}
	}
	e := entry{checkpoint: Checkpoint{Member: member, Takes: takes, Yields: yields}, ring: r}
	return func(typeName string, id resource.ID) bool {
		return e.owns(typeName, id, b.format.Partition(string(id)))
	}, nil
}

// owns tells whether a checkpoint covers the partition of an object.
func (e *entry) owns(typeName string, id resource.ID, partition int) bool {
	if taken, decided := e.checkpoint.taken(typeName, id); decided {
		return taken
	}
	return e.ring.Owner(partition) == e.checkpoint.Member
}

// Bound returns the version up to which a type is acknowledged in every partition, unseen deletions included. It
// takes the checkpoint that reaches furthest; 0 means that there is none.
func (b *Ledger) Bound(typeName string) uint64 {
	var bound uint64
	for _, p := range *b.believed.Load() {
		if p.all() {
			e, _ := p.checkpoint.of(typeName, "")
			bound = max(bound, e.deleted())
		}
	}
	return bound
}

// Acknowledged returns the version up to which every state of an object is acknowledged, without unseen deletions.
// It takes the checkpoint that reaches furthest, of the object's owner or for all partitions. It takes no lock.
func (b *Ledger) Acknowledged(typeName string, id resource.ID) uint64 {
	entries := *b.believed.Load()
	if len(entries) == 0 {
		return 0
	}
	var bound uint64
	partition, hash := b.format.Partition(string(id)), Short(id)
	for _, p := range entries {
		e, _ := p.checkpoint.of(typeName, id)
		if e.Low <= bound || !p.owns(typeName, id, partition) {
			continue
		}
		if !e.refuses(hash) { // Other exceptions are above Low, or unseen deletions.
			bound = e.Low
		}
	}
	return bound
}

// Stats returns the statistics of the other members, by member.
func (b *Ledger) Stats() map[string]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.stats)
}

func (b *Ledger) setStats(member, stats string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats[member] = stats
}

// Doubtful returns the statement of another member, or of an earlier process of this name, about an object that a
// request of unknown outcome may still change. It takes no lock.
func (b *Ledger) Doubtful(id resource.ID) (Doubt, bool) {
	all := b.inDoubt.Load()
	if all == nil || len(*all) == 0 {
		return Doubt{}, false
	}
	d, ok := (*all)[id.Hash()]
	return d, ok
}

// setInDoubt gathers the objects in doubt of all members other than self, and those of self before its present
// incarnation. Where two statements about an object differ, it keeps only that the object is in doubt.
func (b *Ledger) setInDoubt(self string, earlier []Doubt) {
	inDoubt := make(map[uint64]Doubt)
	for _, d := range earlier {
		inDoubt[d.ID] = d
	}
	for _, p := range *b.believed.Load() {
		if p.checkpoint.Member == self {
			continue
		}
		for _, d := range p.checkpoint.InDoubt {
			if o, ok := inDoubt[d.ID]; ok && o != d {
				d = Doubt{ID: d.ID, Overwritable: true}
			}
			inDoubt[d.ID] = d
		}
	}
	if before := b.inDoubt.Swap(&inDoubt); before != nil && len(*before) > 0 && !maps.Equal(*before, inDoubt) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.news.all = true // A delivered object may be in no doubt any more.
	}
}

// Events returns, by type, the newest change that any other member had seen at its last checkpoint.
func (b *Ledger) Events(self string) Events {
	events := make(Events)
	for _, p := range *b.believed.Load() {
		if p.checkpoint.Member == self {
			continue
		}
		for t, e := range p.checkpoint.Types {
			if e.Event > 0 {
				events.add(t, e.Event)
			}
		}
	}
	return events
}

// all tells whether a checkpoint speaks for all partitions: its view has its own member alone.
func (e entry) all() bool {
	return len(e.checkpoint.View) == 1 && e.checkpoint.View[0] == e.checkpoint.Member && len(e.checkpoint.Yields) == 0
}

// Past is the summary of the checkpoints of one moment.
type Past struct {
	// Versions are, by type, the versions at which the receiver had all objects of the API server, ascending. One
	// is the version up to which everything is acknowledged. Those beyond it are versions up to which some member's
	// own partitions are acknowledged. An object that existed at one of these versions and does not
	// exist was deleted since.
	Versions map[string][]uint64
	// Opaque are the types that were sent although their versions are no numbers.
	Opaque map[string]bool
	// Incarnations are the incarnations that made the checkpoints, by member.
	Incarnations map[string]string
}

// Past sums up the checkpoints of all members, or of those for which of returns true.
func (b *Ledger) Past(of func(member, incarnation string) bool) Past {
	past := Past{Versions: make(map[string][]uint64), Opaque: make(map[string]bool), Incarnations: make(map[string]string)}
	bounds := make(map[string]uint64)
	for _, p := range *b.believed.Load() {
		if of != nil && !of(p.checkpoint.Member, p.checkpoint.Incarnation) {
			continue
		}
		past.Incarnations[p.checkpoint.Member] = p.checkpoint.Incarnation
		for t, e := range p.checkpoint.Types {
			if e.Opaque {
				past.Opaque[t] = true
			}
			if p.all() {
				bounds[t] = max(bounds[t], e.deleted())
			}
			past.Versions[t] = append(append(past.Versions[t], e.Earlier...), e.High)
			if e.Until > 0 { // An object that is left out existed at Low, and may have been deleted since.
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

// Position is how far a member had seen a type when it wrote its last checkpoint. A position without an incarnation
// is of a process that is gone.
type Position struct {
	Member, Incarnation string
	High                uint64
}

// Positions returns the positions of all members in a type, for their own partitions, with the earlier ones that
// they still name.
func (b *Ledger) Positions(typeName string) []Position {
	var all []Position
	for _, p := range *b.believed.Load() {
		e, ok := p.checkpoint.of(typeName, "")
		if !ok || !p.excepts {
			continue
		}
		all = append(all, Position{Member: p.checkpoint.Member, Incarnation: p.checkpoint.Incarnation, High: e.High})
		for _, version := range e.Earlier {
			all = append(all, Position{Member: p.checkpoint.Member, High: version})
		}
	}
	return all
}

// Len returns how many checkpoints are believed.
func (b *Ledger) Len() int { return len(*b.believed.Load()) }
