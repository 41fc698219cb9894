package index

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// Cause says how the index learned of a change.
type Cause uint8

const (
	// Live is a change that happened while the type was watched, or was found by a relist after an interruption.
	Live Cause = iota
	// Initial is an object found by the first list of its type in this process. Whether a receiver has it already is
	// not known to the index.
	Initial
	// Found is a deletion that nobody here has seen: something else told that the object is gone. It lies after
	// [Change.After], and not after the version of its record.
	Found
	// Gone is the deletion of an object because its whole type is no longer served or no longer wanted.
	Gone
)

// Change is one object's new state, or its deletion.
type Change struct {
	// Type and ID name the object.
	Type resource.Type
	ID   resource.ID
	// Key is what the object is called within its type, see [Key]: the string that the index has, so that it takes no
	// memory to keep it. It may be empty, and then means the same.
	Key string
	// Deleted tells that the object is gone; Record then has no body.
	Deleted bool
	// Record is the new state. For a deletion its ResourceVersion is that of the deletion, or of the list that lacked
	// the object; where versions are no numbers it is 0, and the digest is that of the last state.
	Record resource.Record
	// Known tells that the index knew the object before this change, with digest Previous.
	Known    bool
	Previous uint64
	// Cause says how the index learned of it.
	Cause Cause
	// After is a version before which the object was not in this state. For an event of the watch it is the one before
	// the event's own; for what a relist found, the one up to which everything had been seen before it; for a
	// first list 0: the version that an object carries there is that of its last write, which need not be the
	// one that matters.
	After uint64
	// Again tells that a relist found the object in the state in which it was known, with another version: it may have
	// been in other states in between, which nobody here has seen.
	Again bool
	// Listed tells that a relist found the object changed: it may have been in other states in between.
	Listed bool
}

// Listener is told of every change. See the package documentation for what it may do.
type Listener interface {
	// Apply takes one change.
	Apply(c Change)
}

// Index is the set of all known objects. Create it with [New].
type Index struct {
	metrics *metrics
	leftOut func(t resource.Type, namespace, name string) bool // see LeaveOut

	// Guards types (not what they point to) and listeners; may be taken under a type's mu, never the reverse.
	mu        sync.RWMutex
	types     map[resource.Type]*objects
	listeners []Listener
	// sorted is what Types returns, nil since a type has come or gone. It is written while mu is held, if for reading.
	sorted atomic.Pointer[[]resource.Type]
}

// objects are the known objects of one type.
type objects struct {
	mu       sync.Mutex // guards everything below; held while listeners are called
	entries  table
	listed   bool   // a complete list has been applied
	removed  bool   // no longer in Index.types; a waiter for mu looks the type up again
	version  uint64 // the newest resourceVersion seen: of a list, an event or a bookmark
	event    uint64 // the newest one of an object's state or deletion
	since    uint64 // of the last list: every change after it has been seen
	before   uint64 // and every change up to this, before that list
	whole    uint64 // of the last list that was believed in what it lacks
	first    uint64 // the version of the first list
	restores uint64 // how many lists have shown that versions went back
	sums     sums
}

// entry is what is kept of an object: 16 bytes.
type entry struct{ digest, version uint64 }

// Listen adds a listener for all changes from now on, and returns a function that removes it. The listener may be
// called before Listen has returned. After the removal has returned it is called no more.
func (x *Index) Listen(l Listener) (remove func()) {
	x.mu.Lock()
	x.listeners = append(slices.Clone(x.listeners), l)
	x.mu.Unlock()
	return func() {
		x.mu.Lock()
		x.listeners = slices.DeleteFunc(slices.Clone(x.listeners), func(o Listener) bool { return o == l })
		x.mu.Unlock()
		x.barrier()
	}
}

// barrier returns once every call of a listener that was under way when it began has ended.
func (x *Index) barrier() {
	x.mu.RLock()
	types := make([]*objects, 0, len(x.types))
	for _, o := range x.types {
		types = append(types, o)
	}
	x.mu.RUnlock()
	for _, o := range types {
		o.mu.Lock()
		o.mu.Unlock() //nolint:staticcheck // Passing through the lock is the point.
	}
}

// lock returns the objects of a type, locked, creating them when create is set; nil when there are none.
func (x *Index) lock(t resource.Type, create bool) *objects {
	for {
		x.mu.RLock()
		o := x.types[t]
		x.mu.RUnlock()
		if o == nil && !create {
			return nil
		}
		if o == nil {
			o = x.add(t)
		}
		o.mu.Lock()
		if !o.removed {
			return o
		}
		o.mu.Unlock()
	}
}

func (x *Index) add(t resource.Type) *objects {
	x.mu.Lock()
	defer x.mu.Unlock()
	o := x.types[t]
	if o == nil {
		o = &objects{entries: newTable()}
		x.types[t] = o
		x.sorted.Store(nil)
	}
	return o
}

func (x *Index) tell(c Change) {
	x.mu.RLock()
	listeners := x.listeners
	x.mu.RUnlock()
	for _, l := range listeners {
		l.Apply(c)
	}
}

// Replace applies a complete, consistent list of a type at a resourceVersion: new and changed objects become
// upserts, known objects that the list lacks become deletions. The first list of a type has [Cause] Initial,
// and is told of in the order of the hashes of the IDs, so that one of them says how far the member that works it off
// has come.
//
// A complete list is the truth, whatever the versions of its objects are. A list at a lower version than what was seen
// before says that the API server went back in time: its etcd was restored from a backup. What is known then counts for
// nothing but the digests; versions begin anew. The same is true of a single object whose version is lower
// than the known one: a restore can raise the version of lists and not that of objects. Both are told of with
// the version of the list.
func (x *Index) Replace(t resource.Type, rs []resource.Record, version uint64) {
	x.take(t, rs, version, true)
}

// Merge is [Index.Replace] for a list that is not believed in one thing: what it lacks stays known.
func (x *Index) Merge(t resource.Type, rs []resource.Record, version uint64) {
	x.take(t, rs, version, false)
}

// Lacks returns how many objects of a type are known, how many of them a list lacks, and the names of some of those.
func (x *Index) Lacks(t resource.Type, rs []resource.Record, some int) (names []resource.Record, missing, known int) {
	o := x.lock(t, false)
	if o == nil {
		return nil, 0, 0
	}
	defer o.mu.Unlock()
	listed := make(map[string]struct{}, len(rs))
	for _, r := range rs {
		listed[Key(r.Namespace, r.Name)] = struct{}{}
	}
	for k := range o.entries.keys() {
		if _, ok := listed[k]; ok {
			continue
		}
		if missing++; len(names) < some {
			namespace, name := split(k)
			names = append(names, resource.Record{Namespace: namespace, Name: name})
		}
	}
	return names, missing, o.entries.len()
}

// take applies a list. Believed says that what it lacks is gone.
func (x *Index) take(t resource.Type, rs []resource.Record, version uint64, believed bool) {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	change := Change{Cause: Live, After: o.version}
	if !o.listed {
		change.Cause = Initial
	}
	list, key := origin{listed: true, version: version}, Key
	if o.listed && version != 0 && version < o.version {
		list.rewound = true
		change.After, o.version, o.event, o.first = 0, version, 0, version
		for _, e := range o.entries.all() {
			e.version = 0
		}
		x.resum(t, o)
	}
	before := change.After
	if o.listed && o.entries.len() > 0 && believed {
		x.deleteMissing(t, o, rs, version, before)
	}
	if o.entries.len() == 0 && len(rs) > 0 {
		o.entries.resize(len(rs)) // once: growing would leave the old slots to the collector
		key = newArena(rs).key
	}
	if change.Cause == Initial {
		o.first = version
		for _, i := range resource.HashOrder(len(rs), func(i int) uint64 { return t.IDHash(rs[i].Namespace, rs[i].Name) }) {
			x.upsert(t, o, key(rs[i].Namespace, rs[i].Name), rs[i], change, list)
		}
	} else {
		back := list.rewound
		for _, r := range rs {
			back = x.upsert(t, o, key(r.Namespace, r.Name), r, change, list) || back
		}
		if back {
			o.restores++
			x.metrics.rewinds.Inc()
		}
	}
	o.listed = true
	o.version, o.since, o.before = max(o.version, version), version, before
	if believed {
		o.whole = version
	}
	o.sums.restart(version)
}

func (x *Index) deleteMissing(t resource.Type, o *objects, rs []resource.Record, version, after uint64) {
	listed := make(map[string]struct{}, len(rs))
	for _, r := range rs {
		listed[Key(r.Namespace, r.Name)] = struct{}{}
	}
	var missing []string
	for k := range o.entries.keys() {
		if _, ok := listed[k]; !ok {
			missing = append(missing, k)
		}
	}
	for _, k := range missing {
		namespace, name := split(k)
		x.delete(t, o, namespace, name, version, Change{Cause: Live, After: after})
	}
}

// Upsert applies one object's state, as an event of the watch brought it. A state older than the known one is left
// out: a watch that was restarted may begin a little in the past.
func (x *Index) Upsert(t resource.Type, r resource.Record) {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	x.upsert(t, o, Key(r.Namespace, r.Name), r, Change{Cause: Live, After: before(r.ResourceVersion)}, origin{})
}

// origin is where a state comes from: the zero value is an event.
type origin struct {
	listed  bool
	version uint64 // of the list
	rewound bool   // the list is below what was seen before
}

// upsert applies one object's state, of key k; c says how it was learned. It tells whether the state is of a list and
// lies before the known one, which only a restore brings about.
func (x *Index) upsert(t resource.Type, o *objects, k string, r resource.Record, c Change, from origin) (back bool) {
	at, known := o.entries.find(k)
	var old entry
	if known {
		old = at.entry
	}
	back = known && r.ResourceVersion != 0 && r.ResourceVersion < old.version
	if back && !from.listed {
		x.metrics.outdated.Inc()
		return false
	}
	o.version, o.event = max(o.version, r.ResourceVersion), max(o.event, r.ResourceVersion)
	if e := (entry{digest: r.Digest, version: r.ResourceVersion}); known {
		at.entry = e
	} else {
		o.entries.set(k, e)
	}
	event := r.ResourceVersion
	if from.listed {
		event = ofList
	}
	x.summed(t, o, r.Namespace, r.Name, stateVersion{known, old.version}, stateVersion{true, r.ResourceVersion}, event)
	same := known && old.digest == r.Digest
	if same && (!from.listed || old.version == r.ResourceVersion || old.version == 0) {
		x.metrics.unchanged.Inc()
		return back
	}
	if from.listed && c.Cause != Initial && (back || from.rewound || r.ResourceVersion <= c.After) {
		// Everything up to After had been seen, and this had not. No checkpoint of the lost time, nor of the
		// time before the backup, covers it.
		r.ResourceVersion = from.version
	}
	c.Type, c.ID, c.Key, c.Record = t, t.ID(r.Namespace, r.Name), k, r
	c.Known, c.Previous, c.Again, c.Listed = known, old.digest, same, from.listed && known
	x.tell(c)
	return back
}

// Delete applies one object's deletion at a resourceVersion. An object that is not known is told of all the same:
// a receiver may have it from before.
func (x *Index) Delete(t resource.Type, namespace, name string, version uint64) {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	if old, known := o.entries.get(Key(namespace, name)); known && version != 0 && version < old.version {
		x.metrics.outdated.Inc()
		return
	}
	o.event = max(o.event, version)
	x.delete(t, o, namespace, name, version, Change{Cause: Live, After: before(version)})
}

// Leave notes that an object is not to be had at a resourceVersion, though it may well be there. One that is known is
// told of as deleted; of one that is not known nothing is told: it was left out before.
func (x *Index) Leave(t resource.Type, namespace, name string, version uint64) {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	old, known := o.entries.get(Key(namespace, name))
	switch {
	case known && version != 0 && version < old.version:
		x.metrics.outdated.Inc()
	case known:
		o.event = max(o.event, version)
		x.delete(t, o, namespace, name, version, Change{Cause: Live, After: before(version)})
	default:
		o.version = max(o.version, version)
	}
}

// before is the version before one, 0 for none.
func before(version uint64) uint64 { return max(version, 1) - 1 }

// delete applies one object's deletion; c says how it was learned.
func (x *Index) delete(t resource.Type, o *objects, namespace, name string, version uint64, c Change) {
	k := Key(namespace, name)
	old, known := o.entries.get(k)
	o.entries.delete(k)
	o.version = max(o.version, version)
	if known {
		x.summed(t, o, namespace, name, stateVersion{true, old.version}, stateVersion{}, version)
	}
	c.Type, c.ID, c.Deleted = t, t.ID(namespace, name), true
	c.Known, c.Previous = known, old.digest
	c.Record = resource.Record{Namespace: namespace, Name: name, ResourceVersion: version}
	if version == 0 {
		c.Record.Digest = old.digest
	}
	x.tell(c)
}

// Bookmark notes how far the watch of a type has come.
func (x *Index) Bookmark(t resource.Type, version uint64) {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	o.version = max(o.version, version)
}

// Remove forgets a type and tells of each of its objects as deleted with [Cause] Gone. The caller vouches that the
// type is gone: see the discovery package for what counts as evidence. It returns how many objects there were.
func (x *Index) Remove(t resource.Type) int {
	o := x.lock(t, false)
	if o == nil {
		return 0
	}
	defer o.mu.Unlock()
	gone := make([]slot, 0, o.entries.len())
	for k, e := range o.entries.all() {
		gone = append(gone, slot{k, *e})
	}
	for _, e := range gone {
		namespace, name := split(e.key)
		version := e.version // All members know this one, where they may have seen the type up to different ones.
		if version > 0 {
			version++
		}
		x.delete(t, o, namespace, name, version, Change{Cause: Gone, After: e.version})
	}
	o.removed = true
	x.mu.Lock()
	delete(x.types, t)
	x.sorted.Store(nil)
	x.mu.Unlock()
	return len(gone)
}

// Get returns the digest and resourceVersion by which an object is known.
func (x *Index) Get(t resource.Type, namespace, name string) (digest, version uint64, ok bool) {
	o := x.lock(t, false)
	if o == nil {
		return 0, 0, false
	}
	defer o.mu.Unlock()
	e, ok := o.entries.get(Key(namespace, name))
	return e.digest, e.version, ok
}

// IfCurrent calls f if r is the state by which the object is known, and tells whether it was. No change of any object
// of the type is applied while f runs, so whatever f hands on is in order with what listeners are told. What f must
// not do is what a [Listener] must not.
//
// A list that was read a moment ago holds states that the watch has overtaken, and objects that are gone by now; none
// of those is current. It also holds states that the watch is still to bring, and then will.
func (x *Index) IfCurrent(t resource.Type, r resource.Record, f func()) bool {
	return x.IfKnown(t, r.Namespace, r.Name, func(digest uint64) bool {
		if digest != r.Digest {
			return false
		}
		f()
		return true
	})
}

// IfKnown calls f with the digest by which an object is known, if it is, and returns what f does, else false. As with
// IfCurrent, no change of any object of the type is applied while f runs.
func (x *Index) IfKnown(t resource.Type, namespace, name string, f func(digest uint64) bool) bool {
	o := x.lock(t, false)
	if o == nil {
		return false
	}
	defer o.mu.Unlock()
	e, ok := o.entries.get(Key(namespace, name))
	return ok && f(e.digest)
}

// All calls f for each object of a type until f returns false. No change of the type is applied meanwhile, so f must be
// quick; what it must not do is what a [Listener] must not.
func (x *Index) All(t resource.Type, f func(namespace, name string, version uint64) bool) {
	x.States(t, func(namespace, name string, _, version uint64) bool { return f(namespace, name, version) })
}

// States is All with the digests.
func (x *Index) States(t resource.Type, f func(namespace, name string, digest, version uint64) bool) {
	o := x.lock(t, false)
	if o == nil {
		return
	}
	defer o.mu.Unlock()
	for k, e := range o.entries.all() {
		if namespace, name := split(k); !f(namespace, name, e.digest, e.version) {
			return
		}
	}
}

// IfAbsent calls f if an object is not known although its type has been listed, and tells whether it was. As with
// IfCurrent, no change of any object of the type is applied while f runs.
func (x *Index) IfAbsent(t resource.Type, namespace, name string, f func()) bool {
	o := x.lock(t, false)
	if o == nil {
		return false
	}
	defer o.mu.Unlock()
	if _, known := o.entries.get(Key(namespace, name)); known || !o.listed {
		return false
	}
	f()
	return true
}

// IfUnserved calls f if a type is not known at all, and tells whether it was. As with IfCurrent, no change of
// any object of the type is applied while f runs: should it be served again at this moment, its first list
// comes after f.
func (x *Index) IfUnserved(t resource.Type, f func()) bool {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	if o.listed || o.entries.len() > 0 || o.version > 0 {
		return false
	}
	f()
	o.removed = true
	x.mu.Lock()
	delete(x.types, t)
	x.sorted.Store(nil)
	x.mu.Unlock()
	return true
}

// Names returns the names of the objects of a cluster-scoped type, sorted; of a namespaced one, namespace/name.
func (x *Index) Names(t resource.Type) []string {
	o := x.lock(t, false)
	if o == nil {
		return nil
	}
	defer o.mu.Unlock()
	return slices.Sorted(o.entries.keys())
}

// Stats is the state of one type.
type Stats struct {
	// Objects is how many are known.
	Objects int
	// Listed tells whether a complete list has been applied.
	Listed bool
	// Version is the newest resourceVersion seen, Event the newest one of an object's state or deletion.
	Version, Event uint64
	// Since is that of the last list: every change after it has been seen, of those before it the outcome.
	// Before is up to where every change had been seen before that list; 0 for the first one. First is that
	// of the first list.
	Since, Before, First uint64
	// Whole is that of the last complete list: what was there before it, and is not known, is gone.
	Whole uint64
	// Restores counts the lists that have shown that versions went back in time.
	Restores uint64
}

// Type returns the state of one type; the zero Stats for one that is not known.
func (x *Index) Type(t resource.Type) Stats {
	o := x.lock(t, false)
	if o == nil {
		return Stats{}
	}
	defer o.mu.Unlock()
	return Stats{Objects: o.entries.len(), Listed: o.listed, Version: o.version, Event: o.event, Since: o.since, Before: o.before, First: o.first, Whole: o.whole, Restores: o.restores}
}

// Types returns all known types, sorted. The slice is the caller's own: what one cuts out of it in place, others are
// still given. It is sorted once, until a type comes or goes, for it is asked for several times a second.
func (x *Index) Types() []resource.Type {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if sorted := x.sorted.Load(); sorted != nil {
		return slices.Clone(*sorted)
	}
	types := make([]resource.Type, 0, len(x.types))
	for t := range x.types {
		types = append(types, t)
	}
	slices.SortFunc(types, resource.CompareTypes)
	x.sorted.Store(&types)
	return slices.Clone(types)
}

// Len returns how many objects are known in all.
func (x *Index) Len() int {
	n := 0
	for _, t := range x.Types() {
		n += x.Type(t).Objects
	}
	return n
}

// Key is the name under which an object is kept within its type: namespace/name, or the name of what has no namespace.
func Key(namespace, name string) string {
	if namespace == "" && name != "" {
		return name
	}
	return namespace + "/" + name
}

func split(key string) (namespace, name string) {
	namespace, name, found := strings.Cut(key, "/")
	if !found {
		return "", key
	}
	return namespace, name
}
