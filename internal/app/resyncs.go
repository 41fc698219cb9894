package app

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/index"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/pipeline"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync"
)

type quarantinedObject = pipeline.Quarantined

// StartResync implements [api.Resyncer].
func (a *App) StartResync(_ context.Context, r api.Request) (api.Operation, error) {
	if !a.ready() {
		return api.Operation{}, api.ErrNotReady
	}
	if len(a.targets()) == 0 {
		return api.Operation{}, &api.BadRequestError{Message: "there is no receiver to send to: set REST_ENDPOINT"}
	}
	types, err := match(a.servedTypes(), r.Resource)
	if err != nil {
		return api.Operation{}, err
	}
	if err := checkNamespace(a.index, r.Namespace); err != nil {
		return api.Operation{}, err
	}
	scope := string(r.Scope)
	if r.Scope == api.ScopeFleet {
		scope = "" // as that of one on schedule, which is the same operation then
	}
	op, err := a.resyncs.Start(resync.Request{
		Types: types, Namespace: r.Namespace, Label: r.Resource, Scope: scope, Force: r.Force, Trigger: resync.Requested,
	})
	if err != nil {
		return api.Operation{}, fmt.Errorf("starting a resync: %w", err)
	}
	return a.operation(op), nil
}

// match returns those of the served types that a name means, as kubectl spells it. An empty name means all.
func match(served []resource.Type, name string) ([]resource.Type, error) {
	if name == "" {
		return served, nil
	}
	var matched []resource.Type
	var names []string
	for _, t := range served {
		if slices.Contains([]string{t.Resource, t.GroupResource(), t.String()}, name) {
			matched = append(matched, t)
		}
		names = append(names, t.Resource, t.GroupResource())
	}
	if len(matched) == 0 {
		slices.Sort(names)
		return nil, &api.NotFoundError{What: "watched resource", Name: name, Suggestions: api.Nearest(name, slices.Compact(names))}
	}
	return matched, nil
}

// checkNamespace refuses a namespace that the index does not know. Where Namespaces are not watched, it cannot tell.
func checkNamespace(x *index.Index, name string) error {
	if name == "" || name == resource.ClusterNamespace {
		return nil
	}
	for _, t := range x.Types() {
		if t.Group != "" || t.Resource != "namespaces" || !x.Type(t).Listed {
			continue
		}
		if _, _, ok := x.Get(t, "", name); ok {
			return nil
		}
		return &api.NotFoundError{What: "namespace", Name: name, Suggestions: api.Nearest(name, x.Names(t))}
	}
	return nil
}

// WaitResync implements [api.Resyncer].
func (a *App) WaitResync(ctx context.Context, id string) (api.Operation, error) {
	if _, ok := a.resyncs.Get(id); !ok {
		return api.Operation{}, &api.NotFoundError{What: "resync", Name: id}
	}
	op, err := a.resyncs.Wait(ctx, id)
	if err != nil {
		return api.Operation{}, fmt.Errorf("waiting for a resync: %w", err)
	}
	return a.operation(op), nil
}

// Resync implements [api.Resyncer].
func (a *App) Resync(id string) (api.Operation, bool) {
	op, ok := a.resyncs.Get(id)
	if !ok {
		return api.Operation{}, false
	}
	return a.operation(op), true
}

// Resyncs implements [api.Resyncer].
func (a *App) Resyncs() []api.Operation {
	var ops []api.Operation
	for _, op := range a.resyncs.List() {
		ops = append(ops, a.operation(op))
	}
	return ops
}

func (a *App) resyncStatus() api.ResyncStatus {
	var s api.ResyncStatus
	for _, op := range a.Resyncs() {
		switch {
		case !op.Status.Finished():
			s.Running = append(s.Running, op)
		case s.Last == nil:
			s.Last = &op
		}
	}
	if next, ok := a.resyncs.Next(); ok {
		s.Next = &next
	}
	return s
}

// operation translates an operation, and says when it was one of several members that ran it.
func (a *App) operation(op resync.Operation) api.Operation {
	o := operation(op, a.cfg.PodName)
	if n := len(a.shard.member.View().View); n > 1 {
		o.Message = strings.TrimPrefix(o.Message+"; ", "; ") +
			fmt.Sprintf("this is the share of %s alone, one of %d members: ask the others for theirs", a.cfg.PodName, n)
	}
	return o
}

// operation translates an operation that member runs. What runs on schedule is for the whole fleet.
func operation(op resync.Operation, member string) api.Operation {
	o := api.Operation{
		ID: op.ID, Status: api.OperationStatus(op.Status), Trigger: api.Trigger(op.Request.Trigger),
		Scope: api.Scope(cmp.Or(op.Request.Scope, string(api.ScopeFleet))), Force: op.Request.Force,
		Resource: op.Request.Label, Namespace: op.Request.Namespace, Member: member, StartedAt: op.StartedAt,
		Types:     api.Progress{Done: op.TypesDone, Total: len(op.Request.Types)},
		Resources: api.Progress{Done: op.Offered - op.Open, Total: max(op.Offered, op.Estimate)},
	}
	if o.Status.Finished() {
		o.FinishedAt = &op.FinishedAt
		o.Resources.Total = op.Offered
	}
	for name, err := range op.Failures {
		o.Failed = append(o.Failed, api.TypeFailure{Type: name, Error: err})
	}
	slices.SortFunc(o.Failed, func(x, y api.TypeFailure) int { return strings.Compare(x.Type, y.Type) })
	switch n := len(o.Failed); n {
	case 0:
	case 1:
		o.Message = "1 type could not be read"
	default:
		o.Message = fmt.Sprintf("%d types could not be read", n)
	}
	return o
}
