package app

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
)

// declared are the receivers that ResourceSyncConfigs name. It implements [controller.Targets].
type declared struct {
	a    *App
	left map[string]*retired.Backlog // of those that are stopped, by name; they may come back
}

var _ controller.Targets = declared{}

// Set implements [controller.Targets].
func (d declared) Set(c controller.Target) error {
	a := d.a
	if old := a.receivers.get(c.Name); old != nil {
		if old.declared != nil && old.declared.UID == c.UID && old.declared.Generation == c.Generation {
			return nil
		}
		d.Stop(c.Name)
	}
	t, err := newTarget(d.spec(c), a.parts)
	if err != nil {
		return err
	}
	before := d.left[c.Name]
	if before != nil && before.Receiver() != t.receiver() {
		before = nil
	}
	t.declared = &c
	t.late(before)
	a.receivers.put(t)
	t.listen()
	d.settle(c.Name, t)
	t.start(func(cause error) {
		if cause != nil {
			t.log.Error(cause, "A receiver cannot be served; it is tried again when its ResourceSyncConfig changes or this replica restarts")
		}
	})
	a.log.Info("Receiver added", "target", t.name, "endpoint", t.endpoint, "format", t.format.Name())
	return nil
}

func (d declared) spec(c controller.Target) targetSpec {
	cfg, defaults := d.a.cfg, c.Format.Defaults()
	c.Types = c.Types.WithShortNames(d.a.discovery.Status().ShortNames)
	c.Selection.Types = c.Types
	var own *resource.Selection
	if narrows(c.Selection, cfg.Selection) {
		own = &c.Selection
	}
	return targetSpec{
		own:  own,
		name: c.Name, endpoint: c.Endpoint, format: c.Format.Name(), token: c.Token, ca: c.CABundle, selection: cfg.Selection,
		narrow: true, types: c.Types, namespaces: c.Namespaces,
		debounce: c.Debounce, maxWait: c.MaxWait(), flush: cfg.BatchFlushInterval, resync: c.ResyncInterval,
		settle: defaults.Settle, timeout: defaults.Timeout, maxUpserts: c.MaxUpserts, maxBytes: defaults.MaxBytes,
		maxInFlight: c.MaxInFlight, dirtyMaxBytes: cfg.DirtyMaxBytes,
	}
}

// narrows tells whether a receiver sees less, or other labels, than what is kept.
func narrows(own, kept resource.Selection) bool {
	return own.Hides() || len(own.Extra) > 0 || own.Annotations.String() != kept.Annotations.String() ||
		own.Labels.String() != (resource.LabelFilter{}).String()
}

// settle ends what a stopped receiver has left, for the benefit of t if that is its successor.
func (d declared) settle(name string, t *target) {
	e := d.left[name]
	if e == nil {
		return
	}
	delete(d.left, name)
	if t != nil && t.retiredBacklog == e {
		if n := e.Resume(t.deleter); n > 0 {
			t.log.Info("Deletions that this receiver does not know of are sent", "objects", n)
		}
	} else {
		e.Close()
	}
}

// Stop implements [controller.Targets].
func (d declared) Stop(name string) {
	t := d.a.receivers.get(name)
	if t == nil {
		return
	}
	d.settle(name, nil)
	e := retired.Begin(retired.Options{Index: t.index, Receiver: t.receiver(), Wants: t.wants, Projection: t.projection})
	d.end(t)
	e.Take(t.pipeline)
	d.left[name] = e
	d.a.log.Info("Receiver stopped", "target", name)
}

// Remove implements [controller.Targets].
func (d declared) Remove(name string) {
	d.Stop(name)
	d.settle(name, nil)
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := d.a.forget(ctx, func(key string) bool { return key == handoff.Key(name) }); err != nil {
		d.a.log.Error(err, "Checkpoints of a receiver that is gone could not be deleted; the next start of a replica does it", "target", name)
	}
}

// Known implements [controller.Targets].
func (d declared) Known(names []string) {
	keep := map[string]bool{handoff.Key(handoff.Environment): true}
	for _, name := range names {
		keep[handoff.Key(name)] = true
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := d.a.forget(ctx, func(key string) bool { return !keep[key] }); err != nil {
		d.a.log.Error(err, "Checkpoints of receivers that are gone could not be deleted; the next start of a replica does it")
	}
}

// end stops a receiver. What was not delivered is in no checkpoint, so a successor under its name sends it.
func (d declared) end(t *target) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	t.remove()
	t.observe.Stop()
	t.sending.Stop()
	t.progress.Publish(ctx)
	t.sharing.Stop()
	t.metrics.remove()
	d.a.receivers.drop(t)
}

// Retry implements [controller.Targets].
func (d declared) Retry(name string) {
	if t := d.a.receivers.get(name); t != nil {
		t.pipeline.Retry()
	}
}

// Owns implements [controller.Targets].
func (d declared) Owns(name string) bool { return d.a.shard.Member.MaySend(resource.ID(name)) }

// Report implements [controller.Targets].
func (d declared) Report(name string) (controller.Report, bool) {
	t := d.a.receivers.get(name)
	if t == nil {
		return controller.Report{}, false
	}
	r := controller.Report{Active: t.ready()}
	r.DiscoveryIncomplete, r.Forbidden = d.incomplete(t)
	if r.Active && r.DiscoveryIncomplete == "" {
		r.Overlooked = few(slices.Concat(t.spec.types.Unknown(d.a.types.Served()),
			t.declared.Selection.Annotations.Beyond(d.a.cfg.Selection.Annotations), t.declared.Selection.Labels.Beyond(d.a.cfg.Selection.Labels)))
	}
	all, silent := d.fleet(t)
	sum(all, &r)
	total := int64(0)
	for _, typ := range (catalog{target: t, served: d.a.types.Served}).Types() {
		if t.index.Type(typ).Listed {
			r.WatchedTypes++
			total += int64(t.wanted(typ))
		}
	}
	r.Synced += total
	if members := int64(len(all) + silent); r.InitialSync {
		// Members speak when they have read everything. What the others have still to read is about what we have.
		r.Synced -= t.backfill.Remaining()/members + int64(silent)*total/members
	}
	if r.InitialSync && r.LastSync.IsZero() && r.Dirty > 0 {
		r.Synced = 0 // The receiver has never answered.
	}
	r.Synced = max(r.Synced, 0)
	for _, op := range t.resyncs.List() {
		if op.Status == operations.Done && op.Request.Full() && op.FinishedAt.After(r.LastResync) {
			r.LastResync = op.FinishedAt
		}
	}
	return r, true
}

// fleet returns what we and the others say of a target, and how many others say nothing yet.
func (d declared) fleet(t *target) (all []progress.MemberStats, silent int) {
	all = []progress.MemberStats{t.progress.Stats()}
	told := t.ledger.Stats()
	for _, m := range d.a.shard.Member.View().View {
		var f progress.MemberStats
		switch {
		case m == d.a.cfg.PodName:
		case told[m] != "" && json.Unmarshal([]byte(told[m]), &f) == nil:
			all = append(all, f)
		default:
			silent++
		}
	}
	return all, silent
}

// incomplete names what cannot be discovered or watched, empty when all can, and tells whether some of it is forbidden.
func (d declared) incomplete(t *target) (names string, forbidden bool) {
	var all []string
	for _, f := range d.a.discovery.Status().Failed {
		all = append(all, f.GroupVersion)
	}
	for _, w := range d.a.watches.Status() {
		if w.Phase == watch.Failing && t.spec.types.Match(w.Type) {
			all = append(all, w.Type.String())
			forbidden = forbidden || apierrors.IsForbidden(w.Err)
		}
	}
	slices.Sort(all)
	return few(all), forbidden
}

// few names a few of them for people, and says how many more there are.
func few(all []string) string {
	const most = 5
	if n := len(all); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), n-most)
	}
	return strings.Join(all, ", ")
}

// sum adds up what members say.
func sum(all []progress.MemberStats, r *controller.Report) {
	unknown := make(map[string]bool)
	var held []string
	for _, f := range all {
		r.SyncErrors += f.Errors
		r.Dirty += f.Dirty
		r.Synced -= int64(f.Dirty + f.Quarantined)
		r.InitialSync = r.InitialSync || f.First
		if f.LastSync.After(r.LastSync) {
			r.LastSync = f.LastSync
		}
		if r.LastError == "" {
			r.LastError = f.LastError
		}
		if f.Degraded && !r.Degraded {
			r.Degraded, r.Kind, r.Reason = true, f.Kind, f.Reason
		}
		for _, u := range f.Unknown {
			unknown[u] = true
		}
		for _, w := range f.Held {
			held = append(held, fmt.Sprintf("%d of %s", w.Documents, w.Resource))
		}
	}
	slices.Sort(held)
	r.GuardWaiting = strings.Join(slices.Compact(held), ", ")
	r.UnknownDeletes = strings.Join(slices.Sorted(maps.Keys(unknown)), ", ")
}
