package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/config"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// seat is our membership as one target sees it.
type seat struct {
	*membership.Membership

	target string // its key
}

// kind is what Leases say of a type. They know no slices of it, but ranges of namespaces, so that
// members of which some read a type as a whole and some by namespace understand one another.
func (s seat) kind(t resource.Type) ownership.Kind {
	return ownership.Kind{Target: s.target, Group: t.Group, Version: t.Version, Resource: t.Resource}
}

// namespaceOf is the namespace in an ID, as parts name it.
func namespaceOf(id resource.ID) string {
	namespace, _, _ := strings.Cut(string(id), "/")
	if namespace == resource.ClusterNamespace {
		return ""
	}
	return namespace
}

// MaySend implements [pipeline.Owner].
func (s seat) MaySend(t resource.Type, id resource.ID) bool {
	return s.MaySendOf(s.kind(t), namespaceOf(id), id)
}

// away is for [pipeline.Options.Taken].
func (s seat) away(t resource.Type, id resource.ID) bool {
	return s.Away(s.kind(t), namespaceOf(id), id)
}

// OwnedSince is for [pipeline.Options.OwnedSince].
func (s seat) OwnedSince(t resource.Type, id resource.ID) uint64 {
	return s.Membership.OwnedSince(s.kind(t), id)
}

// Taken tells whether a resync has set anything of a type apart, at this replica or at another one that we
// yield to, or what it gave back is not yet ours again.
func (s seat) Taken(t resource.Type) bool { return s.Owned().Apart(s.kind(t)) }

// in matches what is in an area.
func (s seat) in(a ownership.Area) pipeline.Match {
	return func(t resource.Type, id resource.ID) bool { return a.Has(s.kind(t), namespaceOf(id), s.Partition(id)) }
}

// taken is what we hold for a resync; [membership.Taken] is one.
type taken interface {
	Lost() <-chan struct{}
	Give()
}

// taker makes us the only sender of parts.
type taker interface {
	take(ctx context.Context, parts []span) (taken, error)
}

// span is a type, or a range of namespaces of it.
type span struct {
	typ         resource.Type
	from, until string
}

// after is the first name that may follow that of a namespace: none lies between a name and that name with a dash.
func after(namespace string) string { return namespace + "-" }

func (s seat) take(ctx context.Context, parts []span) (taken, error) {
	of := make([]ownership.Part, 0, len(parts))
	for _, p := range parts {
		if in := p.typ.Within; in != "" {
			p.from, p.until = in, after(in)
		}
		of = append(of, ownership.Part{Kind: s.kind(p.typ), From: p.from, Until: p.until})
	}
	t, err := s.Take(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("taking what is to be sent again: %w", err)
	}
	return t, nil
}

// claim is what a checkpoint of one target says of parts.
type claim struct{ takes, yields []checkpoint.Part }

// claimOf returns what our published claim says of the parts of a target.
func (t *target) claimOf(v membership.View) claim {
	of := func(parts []ownership.Part) (mine []checkpoint.Part) {
		for _, p := range parts {
			if p.Target == targetKey(t.name) {
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

// duty is what this replica sends where, as its Lease has it: members that differ in it form no ring, in
// which each of two receivers would get a part of the objects.
func duty(cfg config.Config) string {
	if cfg.Endpoint == nil {
		return ""
	}
	return fmt.Sprintf("%08x", uint32(xxhash.Sum64String(fmt.Sprintf("%s %s %s %s %v", cfg.Endpoint, cfg.EndpointFormat, cfg.Selection, cfg.Types,
		append(append([]string{"in"}, cfg.WatchNamespaces...), append([]string{"not in"}, cfg.ExcludeNamespaces...)...)))>>32))
}
