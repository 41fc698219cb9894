package backend

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/inspect"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/deletions"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/sink/pipeline"
)

// Object implements [inspect.Source].
func (b *Backend) Object(id resource.ID) inspect.Object {
	typ, known := b.known(id)
	owner := b.Members.Owner(handoff.KindOf(handoff.Environment, typ), handoff.NamespaceOf(id), id)
	o := inspect.Object{
		ID: string(id), Partition: owner.Partition, Owner: owner.Member, Claimants: owner.Claimants, MaySend: owner.MaySend,
		Targets: []inspect.Item{},
	}
	if typ != (resource.Type{}) {
		o.Type = typ.String()
	}
	if known {
		namespace, name := handoff.NamespaceOf(id), string(id)[strings.LastIndexByte(string(id), '/')+1:]
		if digest, version, ok := b.Index.Get(typ, namespace, name); ok {
			o.Index = &inspect.State{Version: version, Digest: fmt.Sprintf("%016x", digest)}
		}
	}
	for _, t := range b.Targets() {
		s, held := t.Pipeline().Item(id)
		item := itemOf(s, held)
		item.Target, item.Acknowledged = t.Name(), t.Ledger().Acknowledged(typ.String(), id)
		o.Targets = append(o.Targets, item)
	}
	return o
}

// itemOf translates an item of a pipeline into the form that people are shown.
func itemOf(s pipeline.ItemStatus, held bool) inspect.Item {
	if !held {
		return inspect.Item{Place: "nowhere"}
	}
	item := inspect.Item{
		Place: s.Place, Operation: "upsert", State: &inspect.State{Version: s.State.Version, Digest: fmt.Sprintf("%016x", s.State.Digest)},
		InFlight: s.InFlight, InDoubt: s.InDoubt, Repeats: s.Repeats, DirtySince: timeOf(s.Since), DueAt: timeOf(s.DueAt),
		BatchLimit: s.BatchLimit, Quarantined: s.Reason,
	}
	if s.State.Deleted {
		item.Operation = "delete"
	}
	if f := s.Failure; f.Tries > 0 {
		item.Failure = &inspect.Failure{Tries: f.Tries, Outcome: f.Outcome.String(), Reason: f.Reason, At: f.At}
	}
	return item
}

// timeOf returns nil for the zero time.
func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Types implements [inspect.Source].
func (b *Backend) Types(target, name string) []inspect.Type {
	types, err := match(b.Index.Types(), strings.ToLower(name))
	if err != nil {
		return nil
	}
	var all []inspect.Type
	for _, t := range b.Targets() {
		if target != "" && t.Name() != target {
			continue
		}
		for _, typ := range types {
			s := b.Index.Type(typ)
			shown := inspect.Type{
				Target: t.Name(), Type: typ.String(), Objects: s.Objects, Listed: s.Listed, Version: s.Version, Since: s.Since, Restores: s.Restores,
				Pending: t.Pipeline().Pending(typ),
			}
			if state, gap, known := t.Search(typ); known {
				shown.Recovery = state.String()
				if gap.State != deletions.Closed {
					shown.Gap = &inspect.Gap{After: gap.After, Until: gap.Since, Retry: timeOf(gap.Retry)}
				}
			}
			all = append(all, shown)
		}
	}
	return all
}

// Checkpoints implements [inspect.Source].
func (b *Backend) Checkpoints(target, name string) []inspect.Checkpoint {
	var all []inspect.Checkpoint
	for _, t := range b.Targets() {
		if target != "" && t.Name() != target {
			continue
		}
		for n, c := range t.Ledger().All() {
			if name == "" || n == name {
				all = append(all, checkpointOf(t.Name(), n, c, name != ""))
			}
		}
	}
	slices.SortFunc(all, func(x, y inspect.Checkpoint) int {
		return strings.Compare(x.Target+" "+x.Name, y.Target+" "+y.Name)
	})
	return all
}

func checkpointOf(target, name string, c checkpoint.Checkpoint, whole bool) inspect.Checkpoint {
	shown := inspect.Checkpoint{
		Target: target, Name: name, Member: c.Member, Incarnation: c.Incarnation, View: c.View, InDoubt: len(c.InDoubt), Types: len(c.Types),
	}
	for _, p := range c.Takes {
		shown.Takes = append(shown.Takes, p.Name())
	}
	for _, p := range c.Yields {
		shown.Yields = append(shown.Yields, p.Name())
	}
	if !whole {
		return shown
	}
	shown.Entries = make(map[string]inspect.Entry, len(c.Types))
	for typ, e := range c.Types {
		shown.Entries[typ] = inspect.Entry{
			Low: e.Low, High: e.High, Until: e.Until, Event: e.Event, Deleted: e.Deleted, Opaque: e.Opaque, Except: len(e.Except), Refused: len(e.Refused),
		}
	}
	return shown
}
