package app

import (
	"maps"
	"slices"
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
)

// retiredBacklog is what a target that was stopped leaves to its successor, in this life of the process: deletions
// that the receiver does not know of, those that happen until the successor is there, and what a request of unknown
// outcome may still change. Nothing else would find them: checkpoints tell of what exists, and the members that saw
// the deletions have all stopped the same target at about the same time.
//
// It is an [index.Listener] from before the target is stopped until the successor listens; its memory is that of the
// names of what was there and is deleted meanwhile, and of what is there since; and what the target saw
// otherwise than the index.
type retiredBacklog struct {
	receiver   string // where, and in which format
	wants      func(t resource.Type, namespace, name string) bool
	projection *projection.Projection // what the target saw last
	close      func()

	mu      sync.Mutex // guards what follows
	deleted map[resource.ID]absence
	inDoubt map[resource.ID]bool
	seen    map[resource.ID]bool // what has changed since it was begun; nil once it is taken
	fresh   map[resource.ID]bool // what was created since it was taken: the receiver never had it
}

// absence is an object that was deleted.
type absence struct {
	typ             resource.Type
	namespace, name string
	version         uint64
}

// leave begins the backlog of a target that is about to be stopped.
func (t *target) leave() *retiredBacklog {
	e := &retiredBacklog{
		receiver: t.receiver(), wants: t.wants, projection: t.projection,
		deleted: make(map[resource.ID]absence), inDoubt: make(map[resource.ID]bool), seen: make(map[resource.ID]bool),
	}
	e.close = t.index.Listen(e)
	return e
}

// receiver names the one receiver whose documents a target answers for.
func (t *target) receiver() string { return t.spec.endpoint.String() + " " + t.format.Name() }

// Apply implements [index.Listener]: an object that is there again is sent as any other is.
func (e *retiredBacklog) Apply(c index.Change) {
	if !e.wants(c.Type, c.Record.Namespace, c.Record.Name) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.seen != nil:
		e.seen[c.ID] = true // The pipeline may not know of it any more.
	case !c.Deleted && !c.Known && c.Cause == index.Live && !e.known(c.ID):
		e.fresh[c.ID] = true
	}
	if c.Deleted && e.fresh[c.ID] {
		delete(e.fresh, c.ID)
		return
	}
	if c.Deleted {
		e.deleted[c.ID] = absence{c.Type, c.Record.Namespace, c.Record.Name, c.Record.ResourceVersion}
	} else {
		delete(e.deleted, c.ID)
	}
}

// known tells whether the receiver may have had an object that is gone. The caller holds mu.
func (e *retiredBacklog) known(id resource.ID) bool {
	_, deleted := e.deleted[id]
	return deleted
}

// take adds what a target that is stopped by now has not delivered. Its own lock is the innermost: Apply is
// called under that of a type, and doubtful under that of a pipeline.
func (e *retiredBacklog) take(t *target) {
	_, all := t.pipeline.Unacknowledged(func(resource.Type, resource.ID) bool { return false })
	types := make(map[resource.Type]uint64)
	for _, typ := range slices.AppendSeq(t.index.Types(), maps.Keys(all)) {
		types[typ] = t.index.Type(typ).Version
	}
	var left []absence
	for typ, version := range types {
		t.pipeline.PendingDeletions(typ, func(namespace, name string) {
			left = append(left, absence{typ, namespace, name, version})
		})
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, u := range all {
		for _, d := range u.Doubtful {
			e.inDoubt[d.ID] = true
		}
	}
	for _, a := range left {
		if id := a.typ.ID(a.namespace, a.name); !e.seen[id] {
			e.deleted[id] = a
		}
	}
	e.seen, e.fresh = nil, make(map[resource.ID]bool)
}

// saw tells whether the target was to have an object that is there, as far as it knew. The nil backlog saw nothing.
func (e *retiredBacklog) saw(t resource.Type, namespace, name string) bool {
	return e != nil && e.wants(t, namespace, name) && !e.projection.Hides(t, namespace, name)
}

// doubtful tells, once, whether a request of unknown outcome may still change an object. The nil backlog knows none.
func (e *retiredBacklog) doubtful(id resource.ID) bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	doubt := e.inDoubt[id]
	delete(e.inDoubt, id)
	return doubt
}

// resume has the deletions sent. The target listens already.
func (t *target) resume(e *retiredBacklog) {
	e.close()
	e.mu.Lock()
	deleted := e.deleted
	e.deleted = nil
	e.mu.Unlock()
	for _, a := range deleted {
		if !t.deleter.Delete(a.typ, a.namespace, a.name, 0, a.version) { // Its whole type is gone.
			t.deleter.DeleteAbsent(a.typ, resource.Record{Namespace: a.namespace, Name: a.name, ResourceVersion: a.version}, 0, true)
		}
	}
	if len(deleted) > 0 {
		t.log.Info("Deletions that this receiver does not know of are sent", "objects", len(deleted))
	}
}
