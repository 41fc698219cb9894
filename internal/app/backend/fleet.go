package backend

import (
	"context"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
)

// Fleet implements [api.Observer].
func (b *Backend) Fleet(ctx context.Context) api.Fleet {
	s := b.Status(ctx)
	f := api.Fleet{Member: s.Member, Ready: s.Ready, Phase: s.Phase, Objects: s.Objects, Types: s.Types, Discovery: s.Discovery}
	members := b.Members.View().View
	for _, t := range b.Targets() {
		i := slices.IndexFunc(s.Targets, func(o api.Target) bool { return o.Name == t.Name() })
		if i < 0 {
			continue // It came in between.
		}
		o := s.Targets[i]
		f.Receivers = append(f.Receivers, api.FleetReceiver{
			Name: o.Name, Endpoint: o.Endpoint, Format: o.Format, Quarantined: o.Quarantined, UnknownDeletions: o.UnknownDeletions, HeldRepairs: o.HeldRepairs,
			Shares: t.Shares(members),
		})
	}
	return f
}
