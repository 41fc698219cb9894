package app

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// What can tell of a deletion that nobody saw.
const (
	fromHistory   = "history"
	fromExact     = "exact"
	fromInventory = "inventory"
	fromReceiver  = "receiver"
)

// waiting is a repair that would delete more of a type than may be deleted without a person's word.
type waiting struct {
	Resource string `json:"resource"`
	Source   string `json:"source"`
	// Documents is how many would be deleted, Limit how many may be unasked.
	Documents int `json:"documents"`
	Limit     int `json:"limit"`
}

// documents is how many would be deleted in all.
func documents(held map[resource.Type]waiting) (n int) {
	for _, w := range held {
		n += w.Documents
	}
	return n
}

// sortedWaiting returns all of several sets, in one order.
func sortedWaiting(sets ...map[resource.Type]waiting) []waiting {
	var all []waiting
	for _, set := range sets {
		all = slices.AppendSeq(all, maps.Values(set))
	}
	slices.SortFunc(all, func(a, b waiting) int {
		return cmp.Or(cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Source, b.Source))
	})
	return all
}

// unresolved returns the types of which nothing can be said.
func (f *finder) unresolved() []resource.Type {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.SortedFunc(maps.Keys(f.unknown), resource.CompareTypes)
}

// resolve says that something has been able to tell after all.
func (f *finder) resolve(t resource.Type) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.unknown, t)
	f.report()
}

// waits returns a copy of what is held back.
func (f *finder) waits() map[resource.Type]waiting {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.held)
}

// release deletes what the inventory is held back on of a type, as far as within says, with a person's word. It returns
// how many deletions were told.
func (f *finder) release(ctx context.Context, t resource.Type, within scope, sweep sweeper) (told int, err error) {
	if _, held := f.waits()[t]; !held {
		return 0, nil
	}
	judge := f.memory.judge
	if f.isGone(t) {
		judge = f.memory.judgeGone
	}
	v, err := judge(t, func(t resource.Type, namespace, name string) bool {
		return f.wants(t, namespace, name) && within.has(namespace, name)
	}, true)
	if err != nil { // Then it holds nothing back either.
		f.memory.discard(err)
		within = scope{}
	}
	gone := make([]place, 0, len(v.Deleted))
	for _, o := range v.Deleted {
		gone = append(gone, place{o.Namespace, o.Name})
	}
	told, err = sweep(ctx, t, gone, true)
	f.count(fromInventory, told)
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.held[t]
	w.Documents -= v.Missing
	switch {
	case err != nil: // It is held back as before.
	case w.Documents > 0 && !within.whole():
		f.held[t] = w
	default:
		delete(f.held, t)
		f.looks[t].state = compared
	}
	f.report()
	return told, err
}

// scope is what is meant of a type. The zero value means all of it.
type scope struct {
	namespace string // empty for all; [resource.ClusterNamespace] for cluster-scoped objects
	owned     func(namespace, name string) bool
}

// scopeOf is what a request is about, of a type.
func (t *target) scopeOf(typ resource.Type, op operations.Request) scope {
	s := scope{namespace: op.Namespace}
	if op.Scope == operations.Replica {
		s.owned = func(namespace, name string) bool { return t.member.MaySend(typ, typ.ID(namespace, name)) }
	}
	return s
}

// whole tells whether everything is meant.
func (s scope) whole() bool { return s.namespace == "" && s.owned == nil }

// has tells whether an object is meant.
func (s scope) has(namespace, name string) bool {
	switch s.namespace {
	case "":
	case resource.ClusterNamespace:
		if namespace != "" {
			return false
		}
	default:
		if namespace != s.namespace {
			return false
		}
	}
	return s.owned == nil || s.owned(namespace, name)
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
			held = append(held, api.HeldRepair{Resource: w.Resource, Source: w.Source, Member: member, Documents: w.Documents, Limit: w.Limit})
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), held
}
