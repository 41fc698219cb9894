package backend

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// maxListed is how many quarantined objects the status names.
const maxListed = 100

// Status implements [api.Observer].
func (b *Backend) Status(context.Context) api.Status {
	s := api.Status{
		Version: b.Version, Member: b.Member, StartedAt: b.Started,
		UptimeSeconds: time.Since(b.Started).Seconds(), Ready: b.Ready(), Objects: b.Index.Len(), Discovery: b.discoveryStatus(),
	}
	for _, w := range b.Watches.Status() {
		s.Types = append(s.Types, b.typeStatus(w))
	}
	inStep := true
	for _, each := range b.Targets() {
		t := b.targetStatus(each)
		t.UnknownDeletions, t.HeldRepairs = missed(each.Said())
		inStep = inStep && t.InStep
		s.Targets = append(s.Targets, t)
	}
	switch {
	case b.Stopping():
		s.Phase = api.PhaseStopping
	case !s.Ready:
		s.Phase = api.PhaseStarting
	case !inStep:
		s.Phase = api.PhaseSyncing
	default:
		s.Phase = api.PhaseInSync
	}
	s.Resync = b.resyncStatus()
	return s
}

func (b *Backend) typeStatus(w watch.Status) api.TypeStatus {
	s := api.TypeStatus{Name: w.Type.String(), Objects: b.Index.Type(w.Type).Objects, Since: w.Since}
	if at := b.Verifier.Verified(verify.Watched{Type: w.Type, Listed: w.ListedAt}); !at.IsZero() {
		s.VerifiedAt = &at
	}
	switch w.Phase {
	case watch.Listing:
		s.Phase = api.TypeListing
	case watch.Synced:
		s.Phase = api.TypeWatching
	case watch.Failing, watch.Unreadable:
		s.Phase = api.TypeFailing
		if w.Phase == watch.Unreadable {
			s.Phase = api.TypeUnreadable
		}
		if w.Err != nil {
			s.Error = w.Err.Error()
		}
	default:
		s.Phase = api.TypeWaiting
	}
	return s
}

func (b *Backend) discoveryStatus() api.Discovery {
	d := b.Discovery.Status()
	s := api.Discovery{Complete: !d.LastComplete.IsZero() && len(d.Failed) == 0, Unknown: d.Unknown}
	for _, f := range d.Failed {
		s.Failed = append(s.Failed, api.FailedGroup{GroupVersion: f.GroupVersion, Error: f.Err.Error()})
	}
	return s
}

func (b *Backend) targetStatus(t Target) api.Target {
	p := t.Pipeline().Stats()
	s := api.Target{
		Name: t.Name(), Endpoint: t.Endpoint(), Format: t.Format(), State: api.TargetDelivering, Since: p.Breaker.Since,
		Dirty: p.Dirty, OldestDirtySeconds: p.OldestDirty.Seconds(), InFlight: p.InFlight,
		Upserts: p.Totals.Upserts, Deletes: p.Totals.Deletes, QuarantinedTotal: p.Quarantined, Unknown: p.Unsettled,
		InStep:    p.Dirty == 0 && p.InFlight == 0 && p.Unsettled == 0,
		FirstSync: &api.Progress{Done: p.First.Done, Total: p.First.Total},
	}
	if s.Since.IsZero() {
		s.Since = b.Started
	}
	if p.Breaker.Open {
		s.State, s.Reason, s.NextAttempt = api.TargetBackingOff, p.Breaker.Reason, &p.Breaker.Next
	}
	quarantined := t.Pipeline().Quarantined(0)
	slices.SortStableFunc(quarantined, func(x, y pipeline.Quarantined) int { return x.Since.Compare(y.Since) })
	for _, q := range quarantined[:min(len(quarantined), maxListed)] {
		s.Quarantined = append(s.Quarantined, api.Quarantined{ID: string(q.ID), Reason: q.Reason, Since: q.Since})
	}
	return s
}

// known tells whether the index has an object of that ID, and which type such an object has.
func (b *Backend) known(id resource.ID) (resource.Type, bool) {
	parts, err := resource.ParseID(string(id))
	if err != nil {
		return resource.Type{}, false
	}
	namespace := parts.Namespace
	if namespace == resource.ClusterNamespace {
		namespace = ""
	}
	for _, t := range b.Index.Types() {
		if t.APIVersion() == parts.APIVersion && strings.EqualFold(t.Kind, parts.Kind) && (t.Within == "" || t.Within == namespace) {
			_, _, ok := b.Index.Get(t, namespace, parts.Name)
			return t, ok
		}
	}
	return resource.Type{}, false
}

// missed says, by the reports of all members, of which types deletions may have been missed, and which repairs are
// held.
func missed(all map[string]progress.MemberStats) (unknown []string, held []api.HeldRepair) {
	for _, member := range slices.Sorted(maps.Keys(all)) {
		unknown = append(unknown, all[member].Unknown...)
		for _, w := range all[member].Held {
			held = append(held, api.HeldRepair{Resource: w.Resource, Source: string(w.Source), Member: member, Documents: w.Documents, Limit: w.Limit})
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown), held
}
