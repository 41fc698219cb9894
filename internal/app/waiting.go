package app

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/repair"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// scopeOf is what a request is about, of a type.
func (t *target) scopeOf(typ resource.Type, op operations.Request) repair.Scope {
	s := repair.Scope{Namespace: op.Namespace}
	if op.Scope == operations.Replica {
		s.Owned = func(namespace, name string) bool { return t.member.MaySend(typ, typ.ID(namespace, name)) }
	}
	return s
}

// peerStats are the statistics of the other live members, each of its present stay in the ring.
func (t *target) peerStats() map[string]memberStats {
	stays := make(map[string]string)
	for _, m := range t.member.View().Members {
		if m.Lease.State == ownership.Live {
			stays[m.Lease.Member] = m.Lease.Incarnation
		}
	}
	all := make(map[string]memberStats)
	for member, text := range t.ledger.Stats() {
		var f memberStats
		if member == t.member.Name() || json.Unmarshal([]byte(text), &f) != nil || f.Stay == "" || stays[member] != f.Stay {
			continue
		}
		all[member] = f
	}
	return all
}

// missed says, by the word of all members, of which types deletions may have been missed, and what is held back.
func (t *target) missed() (unknown []string, held []api.HeldRepair) {
	all := t.peerStats()
	all[t.member.Name()] = t.memberStats()
	for _, member := range slices.Sorted(maps.Keys(all)) {
		unknown = append(unknown, all[member].Unknown...)
		for _, w := range all[member].Held {
			held = append(held, api.HeldRepair{Resource: w.Resource, Source: string(w.Source), Member: member, Documents: w.Documents, Limit: w.Limit})
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), held
}
