package target

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/controller/status"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/progress"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resync/operations"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/discovery"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/source/watch"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/target/retired"
)

// Declared are the receivers that ResourceSyncConfigs name. It implements [controller.Targets].
type Declared struct {
	DeclaredOptions

	left map[string]*retired.Backlog // backlogs of stopped receivers, by name; these may come back
}

// DeclaredOptions are the parts that declared receivers need.
type DeclaredOptions struct {
	Receivers *Set
	Parts     Parts
	// Environment is the receiver that the environment defines, or would define: it provides settings that a
	// ResourceSyncConfig cannot hold.
	Environment Spec
	// Discovery and Watches tell which types are not read.
	Discovery interface{ Status() discovery.Status }
	Watches   interface{ Status() []watch.Status }
	// Owns tells whether we write the status of a receiver.
	Owns func(name string) bool
}

var _ controller.Targets = (*Declared)(nil)

// NewDeclared returns a Declared without receivers.
func NewDeclared(o DeclaredOptions) *Declared {
	return &Declared{DeclaredOptions: o, left: make(map[string]*retired.Backlog)}
}

// releaseTimeout bounds the last writes for a receiver to the API server.
const releaseTimeout = 5 * time.Second

// Set implements [controller.Targets].
func (d *Declared) Set(c controller.Target) error {
	if old := d.Receivers.Get(c.Name); old != nil {
		if o := old.spec.Declared; o != nil && o.UID == c.UID && o.Generation == c.Generation {
			return nil
		}
		d.Stop(c.Name)
	}
	spec := d.spec(c)
	if e := d.left[c.Name]; e != nil && e.Receiver() == spec.receiver() {
		spec.Before = e
	}
	t, err := New(spec, d.Parts)
	if err != nil {
		return err
	}
	d.Receivers.Put(t)
	t.Listen()
	d.settle(c.Name, t)
	t.Start(func(cause error) {
		if cause != nil {
			t.log.Error(cause, "A receiver cannot be served; it is tried again when its ResourceSyncConfig changes or this replica restarts")
		}
	})
	d.Parts.Log.Info("Receiver added", "target", spec.Name, "endpoint", t.Endpoint(), "format", t.Format())
	return nil
}

func (d *Declared) spec(c controller.Target) Spec {
	declared := c
	env, defaults := d.Environment, c.Format.Defaults()
	c.Types = c.Types.WithShortNames(d.Discovery.Status().ShortNames)
	c.Selection.Types = c.Types
	var own *resource.Selection
	if narrows(c.Selection, env.Selection) {
		own = &c.Selection
	}
	return Spec{
		Name: c.Name, Endpoint: c.Endpoint, Format: c.Format.Name(), Late: true, Declared: &declared,
		Access: Access{Token: c.Token, CA: c.CABundle},
		Scope:  Scope{Selection: env.Selection, Own: own, Narrow: true, Types: c.Types, Namespaces: c.Namespaces},
		Pace: Pace{
			Debounce: c.Debounce, MaxWait: c.MaxWait(), Flush: env.Flush, Resync: c.ResyncInterval, Settle: defaults.Settle, Timeout: defaults.Timeout,
		},
		Limits: Limits{MaxUpserts: c.MaxUpserts, MaxBytes: defaults.MaxBytes, MaxInFlight: c.MaxInFlight, DirtyMaxBytes: env.DirtyMaxBytes},
	}
}

// narrows tells whether a receiver sees fewer objects or labels, or other labels, than the process keeps.
func narrows(own, kept resource.Selection) bool {
	return own.Hides() || len(own.Extra) > 0 || own.Annotations.String() != kept.Annotations.String() ||
		own.Labels.String() != (resource.LabelFilter{}).String()
}

// settle ends the backlog of a stopped receiver, and gives it to t if that is its successor.
func (d *Declared) settle(name string, t *Target) {
	e := d.left[name]
	if e == nil {
		return
	}
	delete(d.left, name)
	if t != nil && t.spec.Before == e {
		if n := e.Resume(t.deleter); n > 0 {
			t.log.Info("Deletions of the retired backlog are sent", "objects", n)
		}
	} else {
		e.Close()
	}
}

// Stop implements [controller.Targets].
func (d *Declared) Stop(name string) {
	t := d.Receivers.Get(name)
	if t == nil {
		return
	}
	d.settle(name, nil)
	e := retired.Begin(retired.Options{Index: t.index, Receiver: t.spec.receiver(), Wants: t.wants, Projection: t.projection})
	d.end(t)
	e.Take(t.pipeline)
	d.left[name] = e
	d.Parts.Log.Info("Receiver stopped", "target", name)
}

// Remove implements [controller.Targets].
func (d *Declared) Remove(name string) {
	d.Stop(name)
	d.settle(name, nil)
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := d.Parts.forget(ctx, func(key string) bool { return key == handoff.Key(name) }); err != nil {
		d.Parts.Log.Error(err, "Checkpoints of a receiver that is gone could not be deleted; the next start of a replica does it", "target", name)
	}
}

// Known implements [controller.Targets].
func (d *Declared) Known(names []string) {
	keep := map[string]bool{handoff.Key(handoff.Environment): true}
	for _, name := range names {
		keep[handoff.Key(name)] = true
	}
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	if err := d.Parts.forget(ctx, func(key string) bool { return !keep[key] }); err != nil {
		d.Parts.Log.Error(err, "Checkpoints of receivers that are gone could not be deleted; the next start of a replica does it")
	}
}

// end stops a receiver. Undelivered objects are in no checkpoint, so a successor of the same name sends them.
func (d *Declared) end(t *Target) {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	t.stages.remove()
	t.stages.observe.Stop()
	t.stages.sending.Stop()
	t.progress.Publish(ctx)
	t.stages.sharing.Stop()
	t.metrics.remove()
	t.advance(StateStopped)
	d.Receivers.Drop(t)
}

// Retry implements [controller.Targets].
func (d *Declared) Retry(name string) {
	if t := d.Receivers.Get(name); t != nil {
		t.pipeline.Retry()
	}
}

// Owns implements [controller.Targets].
func (d *Declared) Owns(name string) bool { return d.DeclaredOptions.Owns(name) }

// Report implements [controller.Targets].
func (d *Declared) Report(name string) (status.Report, bool) {
	t := d.Receivers.Get(name)
	if t == nil {
		return status.Report{}, false
	}
	r := status.Report{Active: t.parts.Ready()}
	r.DiscoveryIncomplete, r.Forbidden = d.incomplete(t)
	if r.Active && r.DiscoveryIncomplete == "" {
		asked := t.spec.Declared.Selection
		r.Overlooked = few(slices.Concat(t.spec.Types.Unknown(d.Parts.Types.Served()),
			asked.Annotations.Beyond(t.spec.Selection.Annotations), asked.Labels.Beyond(t.spec.Selection.Labels)))
	}
	all, silent := fleet(t)
	sum(all, &r)
	total := int64(0)
	for _, typ := range (catalog{target: t, served: d.Parts.Types.Served}).Types() {
		if t.index.Type(typ).Listed {
			r.WatchedTypes++
			total += int64(t.wanted(typ))
		}
	}
	r.Synced += total
	if members := int64(len(all) + silent); r.InitialSync {
		// A member reports when it has read all types. A silent member counts as one with an average share, all unread.
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

// fleet returns the reports of all members about a target, and how many members have not reported yet.
func fleet(t *Target) (all []progress.MemberStats, silent int) {
	all = []progress.MemberStats{t.progress.Stats()}
	told := t.ledger.Stats()
	for _, m := range t.member.View().View {
		var f progress.MemberStats
		switch {
		case m == t.member.Name():
		case told[m] != "" && json.Unmarshal([]byte(told[m]), &f) == nil:
			all = append(all, f)
		default:
			silent++
		}
	}
	return all, silent
}

// incomplete names the types and groups that cannot be discovered or watched, empty when all can. It tells
// whether some of them are forbidden.
func (d *Declared) incomplete(t *Target) (names string, forbidden bool) {
	var all []string
	for _, f := range d.Discovery.Status().Failed {
		all = append(all, f.GroupVersion)
	}
	for _, w := range d.Watches.Status() {
		if w.Phase == watch.Failing && t.spec.Types.Match(w.Type) {
			all = append(all, w.Type.String())
			forbidden = forbidden || apierrors.IsForbidden(w.Err)
		}
	}
	slices.Sort(all)
	return few(all), forbidden
}

// few names a few of many for people, and says how many more there are.
func few(all []string) string {
	const most = 5
	if n := len(all); n > most {
		return fmt.Sprintf("%s and %d more", strings.Join(all[:most], ", "), n-most)
	}
	return strings.Join(all, ", ")
}

// sum adds up the reports of the members.
func sum(all []progress.MemberStats, r *status.Report) {
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
