package app

import (
	"sync"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

// lens is what one receiver sees of the objects that all receivers share: without the annotations that it is not to have,
// and without the changes that are of those alone. The nil lens sees everything.
//
// The index knows one digest of each object, that of everything which is kept. Where the receiver sees less of an object,
// the lens remembers the digest of that: some hundred bytes for each object with an annotation that the receiver is not to
// have, and nothing for any other.
type lens struct {
	filter resource.AnnotationFilter

	mu      sync.Mutex // guards digests
	digests map[resource.ID]uint64
}

func newLens(own *resource.AnnotationFilter) *lens {
	if own == nil {
		return nil
	}
	return &lens{filter: *own, digests: make(map[resource.ID]uint64)}
}

// show returns a record as the receiver sees it, and remembers it. The record is what the index knows at this moment.
func (l *lens) show(t resource.Type, r resource.Record) resource.Record {
	if l == nil {
		return r
	}
	seen := l.filter.View(r)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.remember(t.ID(r.Namespace, r.Name), r, seen)
	return seen
}

// of returns a record as the receiver sees it.
func (l *lens) of(r resource.Record) resource.Record {
	if l == nil {
		return r
	}
	return l.filter.View(r)
}

// digest returns that of what the receiver sees of an object that the index knows by the digest known.
func (l *lens) digest(id resource.ID, known uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if d, ok := l.digests[id]; ok {
		return d
	}
	return known
}

func (l *lens) remember(id resource.ID, r, seen resource.Record) {
	if seen.Digest == r.Digest {
		delete(l.digests, id)
	} else {
		l.digests[id] = seen.Digest
	}
}

// see returns a change as the receiver sees it; changed is false when it sees none. Of an object that the lens has not
// been shown before, it takes every change for one.
func (l *lens) see(c index.Change) (seen index.Change, changed bool) {
	if l == nil {
		return c, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if before, known := l.digests[c.ID]; known {
		c.Previous = before
	}
	if c.Deleted {
		delete(l.digests, c.ID)
		return c, true
	}
	r := l.filter.View(c.Record)
	l.remember(c.ID, c.Record, r)
	c.Record = r
	if c.Again {
		c.Previous = r.Digest
	}
	if !c.Known || c.Previous != r.Digest {
		return c, true
	}
	// Only what it does not see has changed; but between two lists there may have been what it does.
	c.Again = c.Again || c.Listed
	return c, c.Again
}

// seeing is a pipeline that is offered records as the receiver sees them, and the catalogue of what it sees.
type seeing struct {
	*pipeline.Pipeline
	index *index.Index
	lens  *lens
}

// OfferFor implements [resync.Target].
func (s seeing) OfferFor(permit *pipeline.Permit, t resource.Type, r resource.Record, ticket *pipeline.Ticket) {
	s.Pipeline.OfferFor(permit, t, s.lens.of(r), ticket)
}

// Fill implements [resync.Hollow].
func (s seeing) Fill(t resource.Type, r resource.Record) { s.Pipeline.Fill(t, s.lens.of(r)) }

// Type implements [resync.Catalog].
func (s seeing) Type(t resource.Type) index.Stats { return s.index.Type(t) }

// IfCurrent implements [resync.Catalog]. A record that differs from what the index knows, but not in what the receiver
// sees, is current: nobody sends the newer state.
func (s seeing) IfCurrent(t resource.Type, r resource.Record, f func()) bool {
	if s.lens == nil {
		return s.index.IfCurrent(t, r, f)
	}
	seen, id := s.lens.of(r), t.ID(r.Namespace, r.Name)
	return s.index.IfKnown(t, r.Namespace, r.Name, func(known uint64) bool {
		current := known == r.Digest || s.lens.digest(id, known) == seen.Digest
		if current {
			f()
		}
		return current
	})
}
