package backend

import (
	"cmp"
	"context"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
)

// Fleet implements [api.Observer].
func (b *Backend) Fleet(ctx context.Context) api.Fleet {
	s := b.Status(ctx)
	f := api.Fleet{Member: s.Member, Ready: s.Ready, Phase: s.Phase, Objects: s.Objects, Types: s.Types, Discovery: s.Discovery}
	members := b.Members.View().View
	for _, t := range b.Targets() {
		i := slices.IndexFunc(s.Targets, func(o api.Target) bool { return o.Name == t.Name() })
		if i < 0 {
			continue // The receiver was added after the checkpoints were read.
		}
		o := s.Targets[i]
		f.Receivers = append(f.Receivers, api.FleetReceiver{
			Name: o.Name, Endpoint: o.Endpoint, Format: o.Format, Quarantined: o.Quarantined, UnknownDeletions: o.UnknownDeletions, HeldRepairs: o.HeldRepairs,
			Shares: shares(t.Said(), members, b.Member),
		})
	}
	return f
}

// shares are the statistics of each member for a receiver. A member that has reported nothing has an empty one.
func shares(all map[string]progress.MemberStats, members []string, self string) (said []api.FleetShare) {
	for member, f := range all {
		s := api.FleetShare{
			Member: member, Self: member == self, Dirty: f.Dirty, DirtySince: f.DirtySince, Quarantined: f.Quarantined, FirstSync: f.First,
			LastSync: f.LastSync, Down: f.Degraded, Reason: f.Reason,
		}
		if f.Degraded {
			s.Advice = notice.Advice(f.Kind)
		}
		said = append(said, s)
	}
	for _, member := range members {
		if _, heard := all[member]; !heard {
			said = append(said, api.FleetShare{Member: member, Silent: true})
		}
	}
	slices.SortFunc(said, func(a, b api.FleetShare) int { return cmp.Compare(a.Member, b.Member) })
	return said
}
