package backend

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/index"
)

// StartResync implements [api.Resyncer].
func (b *Backend) StartResync(ctx context.Context, r api.Request) (api.Operation, error) {
	if !b.Ready() {
		return api.Operation{}, api.ErrNotReady
	}
	if len(b.Targets()) == 0 {
		return api.Operation{}, &api.BadRequestError{Message: "there is no receiver to send to: set REST_ENDPOINT"}
	}
	types, err := match(b.Source.Types.Served(), r.Resource)
	if err != nil {
		return api.Operation{}, err
	}
	if err := checkNamespace(b.Index, r.Namespace); err != nil {
		return api.Operation{}, err
	}
	var ops operationsOf
	for _, t := range b.Targets() {
		op, err := t.Resyncs().Start(ctx, operations.Request{
			Types: within(types, r.Namespace), Namespace: r.Namespace, Label: r.Resource,
			Scope: operations.Scope(r.Scope), Force: r.Force, Trigger: operations.Requested,
		})
		switch {
		case errors.Is(err, operations.ErrNoMembers):
			return api.Operation{}, api.ErrNotReady
		case err != nil:
			return api.Operation{}, fmt.Errorf("starting a resync: %w", err)
		}
		op.Request.Target = t.Name()
		ops = append(ops, op)
	}
	return ops.sum(), nil
}

// within returns the types that can have objects in a namespace. An empty namespace means all types.
func within(types []resource.Type, namespace string) []resource.Type {
	return slices.DeleteFunc(slices.Clone(types), func(t resource.Type) bool {
		switch namespace {
		case "":
			return false
		case resource.ClusterNamespace:
			return t.Namespaced
		default:
			return !t.Namespaced || t.Within != "" && t.Within != namespace
		}
	})
}

// match returns the served types that a name means, as kubectl spells it. An empty name means all.
func match(served []resource.Type, name string) ([]resource.Type, error) {
	if name == "" {
		return served, nil
	}
	var matched []resource.Type
	var names []string
	for _, t := range served {
		if slices.Contains([]string{t.Resource, t.GroupResource(), t.Whole().String(), t.String()}, name) {
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

// checkNamespace refuses a namespace that the index does not know. If Namespaces are not watched, it refuses none.
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

// between joins the IDs of the operations that one request has begun, one for each receiver.
const between = "+"

// WaitResync implements [api.Resyncer].
func (b *Backend) WaitResync(ctx context.Context, id string) (api.Operation, error) {
	var ops operationsOf
	for one := range strings.SplitSeq(id, between) {
		op, err := b.wait(ctx, one)
		if err != nil {
			return api.Operation{}, err
		}
		ops = append(ops, op)
	}
	return ops.sum(), nil
}

func (b *Backend) wait(ctx context.Context, id string) (operations.Operation, error) {
	t, _, ok := b.find(ctx, id)
	if !ok {
		return operations.Operation{}, &api.NotFoundError{What: "resync", Name: id}
	}
	op, err := t.Resyncs().Wait(ctx, id)
	if err != nil {
		return operations.Operation{}, fmt.Errorf("waiting for a resync: %w", err)
	}
	op.Request.Target = t.Name()
	return op, nil
}

// find returns an operation and its receiver. It asks the API server about an operation that no member has
// announced.
func (b *Backend) find(ctx context.Context, id string) (Target, operations.Operation, bool) {
	for _, asked := range []bool{false, true} {
		for _, t := range b.Targets() {
			if asked {
				if err := t.Resyncs().Refresh(ctx); err != nil {
					continue
				}
			}
			if op, ok := t.Resyncs().Get(id); ok {
				op.Request.Target = t.Name()
				return t, op, true
			}
		}
	}
	return nil, operations.Operation{}, false
}

// refreshTimeout bounds the question about an operation that no member has announced.
const refreshTimeout = 5 * time.Second

// Resync implements [api.Resyncer].
func (b *Backend) Resync(id string) (api.Operation, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	var ops operationsOf
	for one := range strings.SplitSeq(id, between) {
		_, op, ok := b.find(ctx, one)
		if !ok {
			return api.Operation{}, false
		}
		ops = append(ops, op)
	}
	return ops.sum(), true
}

// Resyncs implements [api.Resyncer].
func (b *Backend) Resyncs() []api.Operation {
	var ops []api.Operation
	for _, t := range b.Targets() {
		for _, op := range t.Resyncs().List() {
			op.Request.Target = t.Name()
			ops = append(ops, operation(op))
		}
	}
	slices.SortStableFunc(ops, func(x, y api.Operation) int { return y.StartedAt.Compare(x.StartedAt) })
	return ops
}

func (b *Backend) resyncStatus() api.ResyncStatus {
	var s api.ResyncStatus
	for _, op := range b.Resyncs() {
		switch {
		case !op.Status.Finished():
			s.Running = append(s.Running, op)
		case s.Last == nil:
			s.Last = &op
		}
	}
	for _, t := range b.Targets() {
		if next, ok := t.Resyncs().Next(); ok && (s.Next == nil || next.Before(*s.Next)) {
			s.Next = &next
		}
	}
	return s
}

// operationsOf are the operations of one request, one for each receiver.
type operationsOf []operations.Operation

// sum makes one operation of all of them.
func (ops operationsOf) sum() api.Operation {
	if len(ops) == 0 {
		return api.Operation{}
	}
	all := operation(ops[0])
	for _, next := range ops[1:] {
		o := operation(next)
		all.ID += between + o.ID
		all.Target = "" // the operation is for several receivers
		all.Types.Done, all.Types.Total = all.Types.Done+o.Types.Done, all.Types.Total+o.Types.Total
		all.Resources.Done, all.Resources.Total = all.Resources.Done+o.Resources.Done, all.Resources.Total+o.Resources.Total
		all.OrphansDeleted, all.OrphansHeld = all.OrphansDeleted+o.OrphansDeleted, all.OrphansHeld+o.OrphansHeld
		all.Failed = append(all.Failed, o.Failed...)
		all.Shares = append(all.Shares, o.Shares...)
		all.Message = strings.TrimPrefix(all.Message+"; "+o.Message, "; ")
		switch {
		case all.Status == api.OperationRunning:
		case o.Status == api.OperationRunning:
			all.Status, all.FinishedAt = o.Status, nil
		case o.Status == api.OperationFailed:
			all.Status = o.Status
		}
		if all.FinishedAt != nil && o.FinishedAt != nil && o.FinishedAt.After(*all.FinishedAt) {
			all.FinishedAt = o.FinishedAt
		}
	}
	all.Message = strings.TrimSuffix(all.Message, "; ")
	return all
}

// operation translates an operation into the form of the API.
func operation(op operations.Operation) api.Operation {
	o := api.Operation{
		ID: op.ID, Status: api.OperationStatus(op.Status), Trigger: api.Trigger(op.Request.Trigger), Target: op.Request.Target,
		Scope: api.Scope(cmp.Or(op.Request.Scope, operations.Fleet)), Force: op.Request.Force,
		Resource: op.Request.Label, Namespace: op.Request.Namespace, Member: op.Member, StartedAt: op.StartedAt,
		Types:          api.Progress{Done: op.TypesDone, Total: op.Types},
		Resources:      api.Progress{Done: op.Offered - op.Open, Total: max(op.Offered, op.Estimate)},
		OrphansDeleted: op.Repair.Deleted, OrphansHeld: op.Repair.Held,
		Message: op.Message,
	}
	if o.Status.Finished() {
		o.FinishedAt = &op.FinishedAt
		o.Resources.Total = op.Offered
	}
	for name, err := range op.Failures {
		o.Failed = append(o.Failed, api.TypeFailure{Type: name, Error: err})
	}
	slices.SortFunc(o.Failed, func(x, y api.TypeFailure) int { return strings.Compare(x.Type, y.Type) })
	for _, s := range op.Shares {
		o.Shares = append(o.Shares, api.Share{
			Member: s.Member, Parts: api.Progress{Done: s.Done, Total: s.Parts},
			Resources: api.Progress{Done: s.Offered - s.Open, Total: max(s.Offered, s.Objects)},
		})
	}
	if n := op.FailedTypes; n == 1 {
		o.Message = strings.TrimPrefix(o.Message+"; 1 type could not be resynced", "; ")
	} else if n > 1 {
		o.Message = strings.TrimPrefix(fmt.Sprintf("%s; %d types could not be resynced", o.Message, n), "; ")
	}
	return o
}
