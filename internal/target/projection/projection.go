package projection

import (
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Projection is one receiver's view of the objects that all receivers share. It leaves out the objects, labels
// and annotations that the receiver does not select, and changes of them, and adds the receiver's own labels. The
// nil Projection shows every object unchanged.
//
// The index knows one digest of each object, over all that is kept of it. Where the receiver sees an object
// otherwise, or not at all, the projection remembers that. This takes some 40 bytes for each such object, and no
// memory for the others.
type Projection struct {
	selection resource.Selection

	mu     sync.Mutex // guards what follows, and is the innermost: no call is made with it held
	sights map[uint64]sighting
	hidden map[resource.Type]int // objects
}

// sighting describes an object that a receiver sees otherwise than the index. The key of an object is the hash of
// its ID.
type sighting struct {
	digest uint64
	hidden bool // the receiver does not see the object
}

// New returns the projection of a receiver with a selection of its own. Without one, it returns nil, which shows
// every object.
func New(own *resource.Selection) *Projection {
	if own == nil {
		return nil
	}
	return &Projection{selection: *own, sights: make(map[uint64]sighting), hidden: make(map[resource.Type]int)}
}

// Show returns a record as the receiver sees it, and remembers it; seen is false where the receiver does not see
// the object. The record must be the one that the index knows at this moment.
func (l *Projection) Show(t resource.Type, r resource.Record) (shown resource.Record, seen bool) {
	if l == nil {
		return r, true
	}
	shown, seen = l.selection.View(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remember(t, t.IDHash(r.Namespace, r.Name), r, shown, seen)
	return shown, seen
}

// Of returns a record as the receiver sees it, and tells whether the receiver sees it.
func (l *Projection) Of(r resource.Record) (shown resource.Record, seen bool) {
	if l == nil {
		return r, true
	}
	return l.selection.View(r)
}

// digest returns the digest of an object as the receiver sees it; known is the digest in the index. seen is false
// where the receiver does not see the object.
func (l *Projection) digest(t resource.Type, namespace, name string, known uint64) (digest uint64, seen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s, special := l.sights[t.IDHash(namespace, name)]; special {
		return s.digest, !s.hidden
	}
	return known, true
}

// Hides tells whether the receiver does not see an object that the index knows.
func (l *Projection) Hides(t resource.Type, namespace, name string) bool {
	if l == nil || !l.selection.Hides() {
		return false
	}
	_, seen := l.digest(t, namespace, name, 0)
	return !seen
}

// Hidden counts the objects of a type that the receiver does not see.
func (l *Projection) Hidden(t resource.Type) int {
	if l == nil {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.hidden[t]
}

// remember is called with mu held.
func (l *Projection) remember(t resource.Type, id uint64, r, shown resource.Record, seen bool) {
	l.forget(t, id)
	switch {
	case !seen:
		l.sights[id] = sighting{hidden: true}
		l.hidden[t]++
	case shown.Digest != r.Digest:
		l.sights[id] = sighting{digest: shown.Digest}
	}
}

// forget is called with mu held.
func (l *Projection) forget(t resource.Type, id uint64) {
	if l.sights[id].hidden {
		if l.hidden[t]--; l.hidden[t] == 0 {
			delete(l.hidden, t)
		}
	}
	delete(l.sights, id)
}

// See returns a change as the receiver sees it; changed is false when the receiver sees none. Every change of an
// object counts that the projection has not been shown before. An object that the receiver ceases to see is
// deleted. known tells whether the index knew the object, though the receiver may never have been sent it.
func (l *Projection) See(c index.Change, known bool) (seen index.Change, changed bool) {
	if l == nil {
		return c, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	id := c.Type.IDHash(c.Record.Namespace, c.Record.Name)
	before, special := l.sights[id]
	switch {
	case before.hidden:
		c.Known, c.Previous = false, 0
	case special:
		c.Previous = before.digest
	}
	if c.Deleted {
		l.forget(c.Type, id)
		// A deletion that another member reports may be of a document of an earlier process.
		return c, !before.hidden || c.Cause == index.Found
	}
	r, visible := l.selection.View(c.Record)
	l.remember(c.Type, id, c.Record, r, visible)
	if !visible {
		c.Known = known && !before.hidden
		return l.lost(c, before.hidden)
	}
	c.Record = r
	if before.hidden {
		c.Again = false
	}
	if c.Again {
		c.Previous = r.Digest
	}
	if !c.Known || c.Previous != r.Digest {
		return c, true
	}
	// The change is only in a part that the receiver does not see, so the receiver lacks no state. But between two
	// lists there may have been a change that it does see.
	c.Again, c.Lost = c.Again || c.Listed, false
	return c, c.Again
}

// lost turns a change that hides an object into a deletion; changed is false if the receiver did not see the
// object before either. Between two lists the receiver may have seen it, and another member may have sent it
// then.
func (l *Projection) lost(c index.Change, hidden bool) (seen index.Change, changed bool) {
	changed = c.Known || hidden && (c.Again || c.Listed)
	c.Deleted, c.Again, c.Listed, c.Lost = true, false, false, false
	c.Record = resource.Record{Namespace: c.Record.Namespace, Name: c.Record.Name, ResourceVersion: c.Record.ResourceVersion}
	return c, changed
}
