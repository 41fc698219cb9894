package progress

import (
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// No version can say how far a type is in step whose versions are no numbers. So the owner names each object of such a
// type that it has delivered, by the digest of its state, for as long as it owns the object. Then an object that a
// member takes over, or lists after a restart, is not sent again. Beyond [checkpoint.MaxDelivered] names it is.

// opaqueState is what the index knows of an object whose version is no number.
type opaqueState struct {
	id   resource.ID
	name uint64
}

// opaque returns the states of such objects that are ours, none for a receiver that is sent less than is watched.
func (p *Publisher) opaque(mine pipeline.Match) []opaqueState {
	if !p.opts.Receiver.Whole {
		return nil
	}
	var all []opaqueState
	for _, typ := range p.opts.Index.Types() {
		if stats := p.opts.Index.Type(typ); !stats.Listed || stats.Version != 0 {
			continue
		}
		p.opts.Index.States(typ, func(namespace, name string, digest, _ uint64) bool {
			if id := typ.ID(namespace, name); mine(typ, id) && p.opts.Receiver.Wants(typ, namespace, name) {
				all = append(all, opaqueState{id, checkpoint.Name(id, 0, digest)})
			}
			return len(all) < checkpoint.MaxDelivered
		})
	}
	return all
}

// inStep returns the names of delivered objects, with those of opaque states that are acknowledged, as many as
// fit. The caller must read the backlog after the states.
func inStep(delivered []uint64, states []opaqueState, left map[resource.Type]pipeline.Unacknowledged) []uint64 {
	if len(states) == 0 {
		return delivered
	}
	behind := make(map[resource.ID]bool)
	for _, u := range left {
		for _, id := range slices.Concat(u.IDs, u.Refused) {
			behind[id] = true
		}
	}
	names := slices.Clone(delivered)
	for _, s := range states {
		if !behind[s.id] {
			names = append(names, s.name)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), checkpoint.MaxDelivered)]
}
