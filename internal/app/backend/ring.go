package backend

import (
	"cmp"
	"context"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/api"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/handoff"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/membership"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// Ring implements [api.Observer].
func (b *Backend) Ring(context.Context) api.Ring {
	v := b.Members.View()
	r := api.Ring{
		Name: v.Ring, Format: v.Format, Partitions: v.Partitions, Agreed: v.Disagreeing == 0,
		OrphanedPartitions: v.Orphans, Conflicts: v.Conflicts, Fenced: v.Fenced,
	}
	if v.Disagreeing > 0 {
		since := time.Now().Add(-v.Disagreeing)
		r.DisagreementSince = &since
	}
	if v.Err != nil {
		r.Error = v.Err.Error()
	}
	for _, m := range v.Members {
		r.Members = append(r.Members, b.member(v, m))
	}
	return r
}

func (b *Backend) member(v membership.View, m ownership.MemberStatus) api.Member {
	o := api.Member{
		Name: m.Lease.Member, Self: m.Self, HeartbeatAgeSeconds: m.Heartbeat.Seconds(), Claims: m.Claimed, Partitions: m.Claimed,
		View: m.Lease.View, Takes: partsOf(m.Lease.Takes),
		State: map[ownership.Phase]api.MemberState{
			ownership.Waiting: api.MemberWaiting, ownership.Working: api.MemberWorking, ownership.Silent: api.MemberSilent,
			ownership.Missing: api.MemberMissing, ownership.Gone: api.MemberGone,
		}[m.Phase],
	}
	if m.Stranger {
		o.Format = m.Lease.Format
	}
	if v.Partitions > 0 {
		o.Share = float64(o.Partitions) / float64(v.Partitions)
	}
	return o
}

// Owner implements [api.Observer].
func (b *Backend) Owner(id resource.ID) (api.Owner, error) {
	typ, known := b.known(id)
	o := b.Members.Owner(handoff.KindOf(handoff.Environment, typ), handoff.NamespaceOf(id), id)
	if o.Member == "" {
		return api.Owner{}, api.ErrNotReady
	}
	answer := api.Owner{
		ID: string(id), Partition: o.Partition, Member: o.Member, Self: o.Member == b.Member, MaySend: o.MaySend, Known: known,
	}
	switch {
	case o.MaySend:
	case !answer.Self:
		answer.Reason = "another member owns it"
	case b.Members.BeforeWrite() != nil:
		answer.Reason = "this member's Lease could not be renewed in time"
	case len(o.Claimants) > 1:
		answer.Reason = "another member has not given it up yet"
	default:
		answer.Reason = "the ring is changing"
	}
	return answer, nil
}

// partsOf returns parts in the form that people read.
func partsOf(parts []ownership.Part) []string {
	var texts []string
	for _, p := range parts {
		text := resource.Type{Group: p.Group, Version: p.Version, Resource: p.Resource}.String()
		if p.From != "" || p.Until != "" {
			text += " in namespaces from " + cmp.Or(p.From, "the first") + " to before " + cmp.Or(p.Until, "the end")
		}
		if p.Target != handoff.Environment {
			text += " for " + p.Target
		}
		texts = append(texts, text)
	}
	return texts
}
