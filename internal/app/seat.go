package app

import (
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// claim is what a checkpoint of one target says of parts.
type claim struct{ takes, yields []checkpoint.Part }

// claimOf returns what our published claim says of the parts of a target.
func (t *target) claimOf(v membership.View) claim {
	of := func(parts []ownership.Part) (mine []checkpoint.Part) {
		for _, p := range parts {
			if p.Target == handoff.Key(t.name) {
				typ := resource.Type{Group: p.Group, Version: p.Version, Resource: p.Resource}
				mine = append(mine, checkpoint.Part{Type: typ.String(), From: p.From, Until: p.Until})
			}
		}
		return mine
	}
	return claim{of(v.Takes), of(v.Yields)}
}

// exceeds tells whether a claim has a part that an earlier one had not.
func (c claim) exceeds(before claim) bool {
	missing := func(some, in []checkpoint.Part) bool {
		return slices.ContainsFunc(some, func(p checkpoint.Part) bool { return !slices.Contains(in, p) })
	}
	return missing(c.takes, before.takes) || missing(before.yields, c.yields)
}
