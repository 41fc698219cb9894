package app

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/verify"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
)

// maxListed is how many quarantined objects the status names.
const maxListed = 100

var _ api.Backend = (*App)(nil)

// Status implements [api.Observer].
func (a *App) Status(context.Context) api.Status {
	s := api.Status{
		Version: a.opts.Version, Member: a.cfg.PodName, StartedAt: a.started,
		UptimeSeconds: time.Since(a.started).Seconds(), Ready: a.ready(), Objects: a.index.Len(), Discovery: a.discoveryStatus(),
	}
	for _, w := range a.watches.Status() {
		s.Types = append(s.Types, a.typeStatus(w))
	}
	inStep := true
	for _, each := range a.targets() {
		t := a.targetStatus(each)
		t.UnknownDeletions, t.HeldRepairs = each.missed()
		inStep = inStep && t.InStep
		s.Targets = append(s.Targets, t)
	}
	switch {
	case a.stopping.Load():
		s.Phase = api.PhaseStopping
	case !s.Ready:
		s.Phase = api.PhaseStarting
	case !inStep:
		s.Phase = api.PhaseSyncing
	default:
		s.Phase = api.PhaseInSync
	}
	s.Resync = a.resyncStatus()
	return s
}

func (a *App) typeStatus(w watch.Status) api.TypeStatus {
	s := api.TypeStatus{Name: w.Type.String(), Objects: a.index.Type(w.Type).Objects, Since: w.Since}
	if at := a.verify.Verified(verify.Watched{Type: w.Type, Listed: w.ListedAt}); !at.IsZero() {
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

func (a *App) discoveryStatus() api.Discovery {
	d := a.discovery.Status()
	s := api.Discovery{Complete: !d.LastComplete.IsZero() && len(d.Failed) == 0, Unknown: d.Unknown}
	for _, f := range d.Failed {
		s.Failed = append(s.Failed, api.FailedGroup{GroupVersion: f.GroupVersion, Error: f.Err.Error()})
	}
	return s
}

func (a *App) targetStatus(t *target) api.Target {
	p := t.pipeline.Stats()
	s := api.Target{
		Name: t.name, Endpoint: t.endpoint, Format: t.format.Name(), State: api.TargetDelivering, Since: p.Breaker.Since,
		Dirty: p.Dirty, OldestDirtySeconds: p.OldestDirty.Seconds(), InFlight: p.InFlight,
		Upserts: p.Totals.Upserts, Deletes: p.Totals.Deletes, QuarantinedTotal: p.Quarantined, Unknown: p.Unsettled,
		InStep:    p.Dirty == 0 && p.InFlight == 0 && p.Unsettled == 0,
		FirstSync: &api.Progress{Done: p.First.Done, Total: p.First.Total},
	}
	if s.Since.IsZero() {
		s.Since = a.started
	}
	if p.Breaker.Open {
		s.State, s.Reason, s.NextAttempt = api.TargetBackingOff, p.Breaker.Reason, &p.Breaker.Next
	}
	quarantined := t.pipeline.Quarantined(0)
	slices.SortStableFunc(quarantined, func(x, y pipeline.Quarantined) int { return x.Since.Compare(y.Since) })
	for _, q := range quarantined[:min(len(quarantined), maxListed)] {
		s.Quarantined = append(s.Quarantined, api.Quarantined{ID: string(q.ID), Reason: q.Reason, Since: q.Since})
	}
	return s
}

// sureTypes are the types that are served and wanted, each as a whole, whatever is read of it; ok
// is false while some group does not answer.
func (a *App) sureTypes() (types []resource.Type, ok bool) {
	s := a.discovery.Status()
	return s.Types, !s.LastComplete.IsZero() && len(s.Failed) == 0
}

// servedTypes are the types, and slices of types, that are served and wanted, without those that
// nobody expects to be read.
func (a *App) servedTypes() []resource.Type {
	unreadable := make(map[resource.Type]bool)
	for _, w := range a.watches.Status() {
		unreadable[w.Type] = w.Phase == watch.Unreadable
	}
	return slices.DeleteFunc(a.types.Of(a.discovery.Status().Types), func(t resource.Type) bool { return unreadable[t] })
}

// watching tells whether the watch of a type is well.
func (a *App) watching(t resource.Type) bool {
	return slices.ContainsFunc(a.watches.Status(), func(w watch.Status) bool { return w.Type == t && w.Phase == watch.Synced })
}

// known tells whether the index has an object of that ID, and of which type it would be.
func (a *App) known(id resource.ID) (resource.Type, bool) {
	parts, err := resource.ParseID(string(id))
	if err != nil {
		return resource.Type{}, false
	}
	namespace := parts.Namespace
	if namespace == resource.ClusterNamespace {
		namespace = ""
	}
	for _, t := range a.index.Types() {
		if t.APIVersion() == parts.APIVersion && strings.EqualFold(t.Kind, parts.Kind) && (t.Within == "" || t.Within == namespace) {
			_, _, ok := a.index.Get(t, namespace, parts.Name)
			return t, ok
		}
	}
	return resource.Type{}, false
}
