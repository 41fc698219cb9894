package projection

import (
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// Through offers records to a pipeline as the receiver sees them, and is the catalogue of the objects that it
// sees.
type Through struct {
	*pipeline.Pipeline
	index      *index.Index
	projection *Projection
}

// NewThrough returns a pipeline and an index behind a projection.
func NewThrough(p *pipeline.Pipeline, x *index.Index, seen *Projection) Through {
	return Through{p, x, seen}
}

// Offer implements [resync.Target].
func (s Through) Offer(t resource.Type, r resource.Record, ticket *pipeline.Ticket) {
	if shown, seen := s.projection.Of(r); seen {
		s.Pipeline.Offer(t, shown, ticket)
	}
}

// Fill implements [resync.Evictor].
func (s Through) Fill(t resource.Type, r resource.Record, exact bool) {
	if shown, seen := s.projection.Of(r); seen {
		s.Pipeline.Fill(t, shown, exact)
	}
}

// Type implements [resync.Catalog].
func (s Through) Type(t resource.Type) index.Stats { return s.index.Type(t) }

// IfCurrent implements [resync.Catalog]. A record whose difference from the index is invisible to the receiver is
// current: no member sends the newer state. A record that the receiver does not see is not current.
func (s Through) IfCurrent(t resource.Type, r resource.Record, f func()) bool {
	if s.projection == nil {
		return s.index.IfCurrent(t, r, f)
	}
	shown, seen := s.projection.Of(r)
	return s.index.IfKnown(t, r.Namespace, r.Name, func(known uint64) bool {
		digest, visible := s.projection.digest(t, r.Namespace, r.Name, known)
		current := seen && visible && (known == r.Digest || digest == shown.Digest)
		if current {
			f()
		}
		return current
	})
}
