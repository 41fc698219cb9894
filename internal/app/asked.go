package app

import (
	"cmp"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/app/backend"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/notice"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
)

var _ backend.Target = (*target)(nil)

// Endpoint implements [backend.Receiver].
func (t *target) Endpoint() string { return t.endpoint }

// Format implements [backend.Receiver].
func (t *target) Format() string { return t.format.Name() }

// Pipeline implements [backend.Target].
func (t *target) Pipeline() backend.Pipeline { return t.pipeline }

// Resyncs implements [backend.Target].
func (t *target) Resyncs() backend.Resyncs { return t.resyncs }

// Ledger implements [backend.Recovery].
func (t *target) Ledger() *checkpoint.Ledger { return t.ledger }

// Search implements [backend.Recovery].
func (t *target) Search(typ resource.Type) (state deletions.State, gap *deletions.Gap, known bool) {
	return t.finder.Inspect(typ)
}

// Missed implements [backend.Recovery].
func (t *target) Missed() (unknown []string, held []api.HeldRepair) {
	all := t.progress.AllStats()
	for _, member := range slices.Sorted(maps.Keys(all)) {
		unknown = append(unknown, all[member].Unknown...)
		for _, w := range all[member].Held {
			held = append(held, api.HeldRepair{Resource: w.Resource, Source: string(w.Source), Member: member, Documents: w.Documents, Limit: w.Limit})
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), held
}

// Shares implements [backend.Recovery].
func (t *target) Shares(members []string) []api.FleetShare {
	return shares(t.progress.AllStats(), members, t.member.Name())
}

// shares are what the members say of a receiver, those that have said nothing included.
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
