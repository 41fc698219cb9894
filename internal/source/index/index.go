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
	// Initial is an object found by the first list of its type in this process. The index does not know whether a
	// receiver has it already.
	Initial
	// Found is a deletion that this process has not seen, but another source has reported. It lies after
	// [Change.After], and not after the version of its record.
	Found
	// Gone is the deletion of an object because its whole type is gone.
	Gone
)

// Change is one object's new state, or its deletion.
type Change struct {
	// Type and ID name the object.
	Type resource.Type
	ID   resource.ID
	// Key is the object's name within its type, see [Key]. It shares the index's own string, so keeping it costs no
	// memory. If it is empty, [Key] gives the same name.
	Key string
	// Deleted tells that the object is gone. Record has no body then.
	Deleted bool
	// Record is the new state. For a deletion, its ResourceVersion is the version of the deletion, or of the list
	// that lacked the object. Where versions are no numbers, it is 0, and the digest is the digest of the last
	// state.
	Record resource.Record
	// Known tells that the index knew the object before this change, with digest Previous.
	Known    bool
	Previous uint64
	// Cause says how the index learned of the change.
	Cause Cause
	// After is a version at which the object was not in this state yet. For an event of the watch, it is the
	// version before the event's own. For a relist, it is the version that the watch had reached before. For a
	// first list it is 0. There, an object carries the version of its last write, which need not be the write that
	// matters.
	After uint64
	// Again tells that a relist found the object in its known state, but with another version. It may have been in
	// other states in between, which this process has not seen.
	Again bool
	// Listed tells that a relist found the object changed, or with another version. It may have been in other
	// states in between.
	Listed bool
	// Lost tells that the watch should have brought this state before the relist did, and has lost it.
	Lost bool
}

// Listener takes every change. The package documentation says what it may do.
type Listener interface {
	// Apply takes one change.
	Apply(c Change)
}

// Index is the set of all known objects. Create it with [New].
type Index struct {
	metrics *metrics
	leftOut func(t resource.Type, namespace, name string) bool // set by LeaveOut; may be nil

	// mu guards types (not the objects behind its pointers) and listeners. It may be taken under a type's mu, never
	// the reverse.
	mu        sync.RWMutex
	types     map[resource.Type]*objects
	listeners []Listener
	// sorted is the result of Types; nil after a type was added or removed. It is written while mu is held, at
	// least for reading.
	sorted atomic.Pointer[[]resource.Type]
}

// objects are the known objects of one type.
type objects struct {
	mu       sync.Mutex // guards the fields below; held while listeners are called
	entries  table
	listed   bool   // a complete list has been applied
	removed  bool   // taken out of Index.types; a goroutine that waited for mu looks the type up again
	version  uint64 // the newest resourceVersion seen: of a list, an event or a bookmark
	event    uint64 // the newest version of an object's state or deletion
	since    uint64 // the version of the last list: the index has seen every change after it
	before   uint64 // the index had seen every change up to this before that list
	whole    uint64 // the version of the last list whose missing objects were deleted
	first    uint64 // the version of the first list
	restores uint64 // lists that have shown that versions went back
	sums     sums
}

// entry is the state that the index keeps of an object: 16 bytes.
type entry struct{ digest, version uint64 }

// Listen adds a listener for all later changes, and returns a function that removes it. The listener may be
// called before Listen has returned. It is not called after remove has returned.
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

// barrier returns once every listener call that was under way at its start has ended.
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

// lock returns the objects of a type, locked. If the type is not known, lock creates them, or returns nil
// without create.
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

// Replace applies a complete, consistent list of a type at a resourceVersion. New and changed objects become
// upserts, and known objects that the list lacks become deletions. The changes of the first list of a type have
// [Cause] Initial, and come in the order of the hashes of the IDs. So one hash can say how far a member has come
// with them.
//
// A complete list is the truth, whatever the versions of its objects are. A list below the version seen before
// means that the API server went back in time: its etcd was restored from a backup. Then only the known digests
// count, and versions begin anew. The same is true of a single object whose version is lower than the known one:
// a restore can raise the version of lists alone. In both cases, the changes carry the version of the list.
func (x *Index) Replace(t resource.Type, rs []resource.Record, version uint64) {
	x.take(t, rs, version, true)
}

// Merge is [Index.Replace] for a doubtful list: objects that it lacks stay known.
func (x *Index) Merge(t resource.Type, rs []resource.Record, version uint64) {
	x.take(t, rs, version, false)
}

// Lacks returns how many objects of a type are known, how many of them a list lacks, and the names of some
// missing ones.
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

// take applies a list. believed says that the objects that the list lacks are gone.
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
		o.entries.resize(len(rs)) // once, because growing leaves the old slots to the garbage collector
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

// Upsert applies one object's state from an event of the watch. It ignores a state older than the known one,
// because a restarted watch may begin a little in the past.
func (x *Index) Upsert(t resource.Type, r resource.Record) {
	o := x.lock(t, true)
	defer o.mu.Unlock()
	x.upsert(t, o, Key(r.Namespace, r.Name), r, Change{Cause: Live, After: before(r.ResourceVersion)}, origin{})
}

// origin is where a state comes from: the zero value is an event.
type origin struct {
	listed  bool
	version uint64 // the version of the list
	rewound bool   // the list is below the version seen before
}

// upsert applies one object's state under key k; c says how the index learned of it. It tells whether the state
// is of a list and older than the known one, which only a restore can cause.
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
		// The index had seen every change up to After, but not this state. With the version of the list, no checkpoint
		// of the lost time, nor of the time before the backup, covers it.
		r.ResourceVersion = from.version
		c.Lost = !same && !back && !from.rewound
	}
	c.Type, c.ID, c.Key, c.Record = t, t.ID(r.Namespace, r.Name), k, r
	c.Known, c.Previous, c.Again, c.Listed = known, old.digest, same, from.listed && known
	x.tell(c)
	return back
}

// Delete applies one object's deletion at a resourceVersion. Listeners get the deletion of an unknown object,
// too: a receiver may have a document from before.
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

// Leave notes that an object is not selected at a resourceVersion, though it may exist. For a known object,
// listeners get a deletion. For an unknown one they get nothing, because it was not selected before.
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

// before returns the version before version; 0 for 0.
func before(version uint64) uint64 { return max(version, 1) - 1 }

// delete applies one object's deletion; c says how the index learned of it.
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

// Remove forgets a type, and tells listeners the deletion of each of its objects with [Cause] Gone. The caller
// must know that the type is gone; the discovery package says what counts as evidence. Remove returns how many
// objects the type had.
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
		version := e.version // All members know this one, but may have seen the type up to different versions.
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

// Get returns the known digest and resourceVersion of an object.
func (x *Index) Get(t resource.Type, namespace, name string) (digest, version uint64, ok bool) {
	o := x.lock(t, false)
	if o == nil {
		return 0, 0, false
	}
	defer o.mu.Unlock()
	e, ok := o.entries.get(Key(namespace, name))
	return e.digest, e.version, ok
}

// IfCurrent calls f if r is the known state of its object, and tells whether it is. No change of the type is
// applied while f runs, so what f hands on is in order with the changes that listeners get. The rules for f are
// those for a [Listener].
//
// A recent list holds states that the watch has overtaken, and objects that are gone. None of them is current.
// It also holds states that the watch has not brought yet, but is going to bring.
func (x *Index) IfCurrent(t resource.Type, r resource.Record, f func()) bool {
	return x.IfKnown(t, r.Namespace, r.Name, func(digest uint64) bool {
		if digest != r.Digest {
			return false
		}
		f()
		return true
	})
}

// IfKnown calls f with the digest of a known object and returns its result; it returns false for an unknown
// object. As with IfCurrent, no change of the type is applied while f runs.
func (x *Index) IfKnown(t resource.Type, namespace, name string, f func(digest uint64) bool) bool {
	o := x.lock(t, false)
	if o == nil {
		return false
	}
	defer o.mu.Unlock()
	e, ok := o.entries.get(Key(namespace, name))
	return ok && f(e.digest)
}

// All calls f for each object of a type until f returns false. No change of the type is applied meanwhile, so f
// must be quick. The rules for f are those for a [Listener].
func (x *Index) All(t resource.Type, f func(namespace, name string, version uint64) bool) {
	x.States(t, func(namespace, name string, _, version uint64) bool { return f(namespace, name, version) })
}

// States does the same as All, with digests.
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

// IfAbsent calls f if an object is not known although its type has been listed, and tells whether it did. As
// with IfCurrent, no change of the type is applied while f runs.
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

// IfUnserved calls f if a type is not known, and tells whether it did. As with IfCurrent, no change of the type
// is applied while f runs. If the type is served again at this moment, its first list comes after f.
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

// Names returns the sorted names of a type's objects; for a namespaced type, namespace/name.
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
	// Objects is how many objects are known.
	Objects int
	// Listed tells whether a complete list has been applied.
	Listed bool
	// Version is the newest resourceVersion seen, Event the newest version of an object's state or deletion.
	Version, Event uint64
	// Since is the version of the last list: the index has seen every change after it, and the outcome of the
	// changes before. Before is the version up to which the index had seen every change before that list; 0 for the
	// first list. First is the version of the first list.
	Since, Before, First uint64
	// Whole is the version of the last complete list: an older object that is not known is gone.
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

// Types returns all known types, sorted. The slice is the caller's own, so the caller may change it. The sorted
// types are kept until a type is added or removed, because Types is called several times a second.
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

// Len returns how many objects of all types are known.
func (x *Index) Len() int {
	n := 0
	for _, t := range x.Types() {
		n += x.Type(t).Objects
	}
	return n
}

// Key returns an object's name within its type: namespace/name, or the name alone without a namespace.
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
