// Package retired keeps the work that a stopped receiver leaves to its successor, within the life of this
// process:
//
//	Begin ──the receiver is stopped──▶ Take ──the successor listens──▶ Resume: deletions are sent
//	  │  what changes meanwhile is      │  what is deleted meanwhile, and was there before,
//	  ╰─ the newer state                ╰─ is kept, too                       Close: there is no successor
//
// A [Backlog] is a listener of the index. Its lock is the innermost: it is taken under the lock of a type, and
// under that of a pipeline. No method blocks.
package retired

import (
	"maps"
	"slices"
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/projection"
)

// Backlog is the work that a stopped receiver leaves: deletions that it does not know of, and those that happen
// until its successor is there. It also has the objects that a request of unknown outcome may still change. No
// other source has them. Checkpoints describe existing objects, and the members that saw the deletions have all
// stopped the same receiver at about the same time.
//
// It keeps the names of objects that existed before and are deleted meanwhile, the names of new objects, and the
// receiver's last projection. The nil Backlog is empty.
type Backlog struct {
	options Options
	close   func()

	mu      sync.Mutex // guards what follows
	deleted map[resource.ID]absence
	inDoubt map[resource.ID]bool
	seen    map[resource.ID]bool // objects that have changed since Begin; nil after Take
	fresh   map[resource.ID]bool // objects that were created since Take: the receiver never had them
}

// Options describe the receiver of a backlog.
type Options struct {
	Index *index.Index
	// Receiver names the receiver to whose documents the backlog belongs.
	Receiver string
	// Wants tells whether the receiver selected objects like this one, and Projection is the projection of the
	// receiver.
	Wants      func(t resource.Type, namespace, name string) bool
	Projection *projection.Projection
}

// Pipeline returns the undelivered objects; [pipeline.Pipeline] does.
type Pipeline interface {
	Unacknowledged(mine pipeline.Match) (own, all map[resource.Type]pipeline.Unacknowledged)
	PendingDeletions(t resource.Type, each func(namespace, name string))
}

// Deleter deletes documents; [repair.Deleter] does.
type Deleter interface {
	Delete(t resource.Type, namespace, name string, after, at uint64) bool
	DeleteAbsent(t resource.Type, r resource.Record, after uint64, gone bool) bool
}

// absence is a deleted object.
type absence struct {
	typ             resource.Type
	namespace, name string
	version         uint64
}

// Begin begins the backlog of a receiver that is about to be stopped.
func Begin(o Options) *Backlog {
	e := &Backlog{
		options: o, deleted: make(map[resource.ID]absence), inDoubt: make(map[resource.ID]bool), seen: make(map[resource.ID]bool),
	}
	e.close = o.Index.Listen(e)
	return e
}

// Receiver names the receiver.
func (e *Backlog) Receiver() string { return e.options.Receiver }

// Close ends the backlog: there is no successor, or the successor sends to another receiver.
func (e *Backlog) Close() { e.close() }

// Apply implements [index.Listener]. An object that exists again leaves the backlog, because it is sent like any
// other.
func (e *Backlog) Apply(c index.Change) {
	if !e.options.Wants(c.Type, c.Record.Namespace, c.Record.Name) {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.seen != nil:
		e.seen[c.ID] = true // The pipeline may not see this change any more.
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
func (e *Backlog) known(id resource.ID) bool {
	_, deleted := e.deleted[id]
	return deleted
}

// Take adds the objects that the receiver has not been sent. The caller has stopped the receiver before.
func (e *Backlog) Take(p Pipeline) {
	x := e.options.Index
	_, all := p.Unacknowledged(func(resource.Type, resource.ID) bool { return false })
	types := make(map[resource.Type]uint64)
	for _, typ := range slices.AppendSeq(x.Types(), maps.Keys(all)) {
		types[typ] = x.Type(typ).Version
	}
	var left []absence
	for typ, version := range types {
		p.PendingDeletions(typ, func(namespace, name string) {
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

// Saw tells whether the receiver selected an existing object, as far as its projection had shown. The nil Backlog
// saw no object.
func (e *Backlog) Saw(t resource.Type, namespace, name string) bool {
	return e != nil && e.options.Wants(t, namespace, name) && !e.options.Projection.Hides(t, namespace, name)
}

// Doubtful tells, once, whether a request of unknown outcome may still change an object. The nil Backlog knows
// none.
func (e *Backlog) Doubtful(id resource.ID) bool {
	if e == nil {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	doubt := e.inDoubt[id]
	delete(e.inDoubt, id)
	return doubt
}

// Resume sends the deletions, and returns their number. The successor must already listen.
func (e *Backlog) Resume(d Deleter) (objects int) {
	e.close()
	e.mu.Lock()
	deleted := e.deleted
	e.deleted = nil
	e.mu.Unlock()
	for _, a := range deleted {
		if !d.Delete(a.typ, a.namespace, a.name, 0, a.version) { // The whole type is gone.
			d.DeleteAbsent(a.typ, resource.Record{Namespace: a.namespace, Name: a.name, ResourceVersion: a.version}, 0, true)
		}
	}
	return len(deleted)
}
