package progress

import (
	"context"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// kept are the deletions that the receiver may not know; mine tells which are ours to send.
func (p *Publisher) kept(mine pipeline.Match) []tombstones.Kept {
	var kept []tombstones.Kept
	for _, o := range p.opts.Pipeline.Tombstones() {
		kept = append(kept, tombstones.Kept{
			Tombstone: checkpoint.Tombstone{Type: o.Type.String(), ID: o.ID, Version: o.Version, Digest: o.Digest},
			Ours:      mine(o.Type, o.ID), Found: o.Found, Since: o.Since,
		})
	}
	for _, o := range p.opts.Pipeline.Lost() {
		kept = append(kept, tombstones.Kept{Ours: true, Tombstone: checkpoint.Tombstone{
			Type: o.Type.String(), ID: o.ID, Version: o.Record.ResourceVersion, Digest: o.Record.Digest, Lives: true, Lost: true,
		}})
	}
	return kept
}

// resumed takes over the tombstones that our predecessor has left, once they are known, and tells whether they are.
func (p *Publisher) resumed() bool {
	known := p.Informed()
	if known {
		p.opts.Tombstones.Resume(p.opts.Store.Left(), time.Now())
	}
	return known
}

// Receive takes the open tombstones of objects that are ours, and returns the members whose lists are done.
func (p *Publisher) Receive() (done map[string]string) {
	if !p.resumed() {
		return nil
	}
	p.carryOn()
	types := sync.OnceValue(p.typesByName)
	return p.opts.Tombstones.Receive(func(o checkpoint.Tombstone, by string) tombstones.Answer { return p.take(o, by, types()) }, time.Now())
}

// typesByName are the types of the index by their names in checkpoints.
func (p *Publisher) typesByName() map[string]resource.Type {
	all := make(map[string]resource.Type)
	for _, typ := range p.opts.Index.Types() {
		all[typ.String()] = typ
	}
	return all
}

// strike has the finished lists of members that are gone removed. The first of the live members does it.
func (p *Publisher) strike(ctx context.Context, done map[string]string) {
	view := p.opts.View()
	if len(done) == 0 || len(view.Members) == 0 || view.Members[0] != p.opts.Member.Name() {
		return
	}
	for _, m := range view.Leases {
		if m.Lease.State == ownership.Live {
			delete(done, m.Lease.Member)
		}
	}
	for member, sum := range done {
		if err := p.opts.Store.Strike(ctx, member, sum); err != nil && ctx.Err() == nil {
			p.opts.Log.V(1).Info("Delivered tombstones of a member that has left could not be removed; trying again", "member", member, "reason", err.Error())
		}
	}
}

// object is the object of a tombstone, as this member reads it. ok is false if it cannot be an object of the
// receiver.
func (p *Publisher) object(o checkpoint.Tombstone, types map[string]resource.Type) (typ resource.Type, parts resource.Parts, ok bool) {
	parts, err := resource.ParseID(string(o.ID))
	if err != nil {
		return typ, parts, false
	}
	if parts.Namespace == resource.ClusterNamespace {
		parts.Namespace = ""
	}
	typ, known := readAs(types, o.Type, parts.Namespace)
	if !known {
		if typ, known = resource.ParseType(o.Type); !known {
			return typ, parts, false
		}
		typ.Kind, typ.Namespaced = parts.Kind, parts.Namespace != ""
	}
	return typ, parts, p.opts.Receiver.Wants(typ, parts.Namespace, parts.Name)
}

// take deletes the object of a tombstone, if it is ours and does not exist. The index must have reached the
// tombstone's version. Otherwise a member whose watch lags might send an older state after the deletion, and no
// member would remember the deletion.
func (p *Publisher) take(o checkpoint.Tombstone, by string, types map[string]resource.Type) tombstones.Answer {
	typ, parts, ok := p.object(o, types)
	if !ok {
		return tombstones.Settled
	}
	gone := p.opts.Searches.Finder.ServedNoLonger(typ)
	stats := p.opts.Index.Type(typ)
	if !p.opts.Member.MaySend(typ, o.ID) || !gone && (!stats.Listed || stats.Version < o.Version) {
		return tombstones.Later
	}
	if o.Lives && !gone {
		if answer := p.judge(o, by, typ, parts); answer != tombstones.Proven {
			return answer
		}
	}
	r := resource.Record{Namespace: parts.Namespace, Name: parts.Name, ResourceVersion: o.Version, Digest: o.Digest}
	after := max(o.Version, 1) - 1
	if o.Lives { // The version is that of the living state, which the deletion followed.
		after = o.Version
	}
	if p.opts.Searches.Deleter.DeleteAbsent(typ, r, after, gone) {
		return tombstones.Taken
	}
	// The object exists. If it is the object that was deleted, our own watch will report that.
	if digest, version, ok := p.opts.Index.Get(typ, parts.Namespace, parts.Name); ok && (version > o.Version || version == 0 && digest != o.Digest) {
		return tombstones.Settled
	}
	return tombstones.Later
}

// readAs returns the type of that name. If its division is another here, it returns the slice or the whole type as
// which an object of a namespace is read.
func readAs(types map[string]resource.Type, name, namespace string) (resource.Type, bool) {
	if typ, known := types[name]; known {
		return typ, true
	}
	whole, within := resource.WholeName(name)
	if within == "" {
		if named, ok := resource.ParseType(name); ok && namespace != "" {
			whole = named.In(namespace).String()
		}
	}
	typ, known := types[whole]
	return typ, known
}
