package progress

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/checkpoint"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/recovery/tombstones"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/resource"
	"github.com/k8s-vectordb-sync/k8s-vectordb-sync/internal/shard/ownership"
)

// A member that has lost the event of a new object does not know the document that another member has sent. If that
// member leaves, and the object is deleted while no watch looks, no member would know of the deletion. So a member
// that leaves names the objects that have changed since the others are known to know as much as it does. The next
// owner of such an object asks:
//
//	         its index has it in that state, or a later one
//	named ───────────────────────────────────────────▶ settled: its own watch will tell
//	  │      its sum was that of who left                  ▲
//	  ├────────────────────────────────────────────────────╯ it has seen the deletion, too
//	  │      it has listed the type since
//	  ├──────────────────────────────────▶ proven: the document is deleted
//	  ╰─▶ neither: the type is listed anew

// living are the objects that we know, and that another live member may not know, each in the state that we know.
func (p *Publisher) living(seen map[string]checkpoint.Seen) []tombstones.Kept {
	var peers []string
	for _, m := range p.opts.View().Leases {
		if m.Lease.State == ownership.Live && m.Lease.Member != p.opts.Member.Name() {
			peers = append(peers, m.Lease.Member)
		}
	}
	var all []tombstones.Kept
	for _, typ := range p.opts.Index.Types() {
		reach := seen[typ.String()].SumAt
		shared := p.shared(typ, reach, peers)
		if shared >= reach {
			continue
		}
		p.opts.Index.All(typ, func(namespace, name string, version uint64) bool {
			// A state that is newer than our claim has not been sent by us.
			if version > shared && version <= reach && !p.opts.Index.LeftOut(typ, namespace, name) && p.opts.Receiver.Wants(typ, namespace, name) {
				all = append(all, tombstones.Kept{Tombstone: checkpoint.Tombstone{
					Type: typ.String(), ID: typ.ID(namespace, name), Version: version, Lives: true,
				}})
			}
			if len(all) >= 2*checkpoint.MaxOpen {
				all = latest(all)
			}
			return true
		})
	}
	return all
}

// latest cuts states down to as many as fit.
func latest(all []tombstones.Kept) []tombstones.Kept {
	slices.SortFunc(all, func(a, b tombstones.Kept) int { return cmp.Compare(b.Version, a.Version) })
	return all[:min(len(all), checkpoint.MaxOpen)]
}

// shared is a version of a type: up to it, each of some members is known to have seen every change that we have seen.
// It is reach at most. For a member with another sum than ours, it is the version at which its sum was last ours, and 0
// for never. Our own sums may be too young to tell, because a list begins them anew. A member that has told none has
// just begun, and lists every type. To it, each change may be new that is younger than the oldest sum that we
// remember.
func (p *Publisher) shared(typ resource.Type, reach uint64, peers []string) uint64 {
	shared := reach
	for _, peer := range peers {
		sum, said := p.opts.Ledger.Said(peer, typ.String())
		now, ok := p.opts.Index.Sum(typ)
		switch {
		case said > 0 && ok && now.Hash == sum: // Nothing has changed since.
		case said > 0 && agreement(p.opts.Index, typ, said, sum) == checkpoint.Agreed:
			shared = min(shared, said)
		case said > 0:
			shared = min(shared, p.opts.Ledger.AgreedTo(peer, typ.String()))
		default:
			shared = min(shared, p.opts.Index.SummedSince(typ))
		}
	}
	return shared
}

// carryOn judges the objects that the predecessor of our name has named as living.
func (p *Publisher) carryOn() {
	types := sync.OnceValue(p.typesByName)
	p.opts.Tombstones.CarryOn(func(o checkpoint.Tombstone) tombstones.Answer {
		typ, parts, ok := p.object(o, types())
		switch {
		case !ok:
			return tombstones.Settled
		case p.opts.Searches.Finder.ServedNoLonger(typ):
			return tombstones.Proven
		default:
			o.Lost = false // Only its owner sends it, because of our tombstones.
			return p.judge(o, "", typ, parts)
		}
	}, time.Now())
}

// judge tells of an object that a member has named as living whether we know it, or know that it is gone.
func (p *Publisher) judge(o checkpoint.Tombstone, by string, typ resource.Type, parts resource.Parts) tombstones.Answer {
	stats := p.opts.Index.Type(typ)
	digest, version, known := p.opts.Index.Get(typ, parts.Namespace, parts.Name)
	sum, said := p.opts.Ledger.Said(by, typ.String())
	switch {
	case !stats.Listed || stats.Version < max(o.Version, said):
		return tombstones.Later
	case known && o.Lost && version <= o.Version && digest == o.Digest:
		p.again(o, typ, parts)
		return tombstones.Taken
	case known && (version >= o.Version || stats.Whole >= o.Version):
		return tombstones.Settled
	case stats.Whole >= o.Version:
		return tombstones.Proven
	case said >= o.Version && agreement(p.opts.Index, typ, said, sum) == checkpoint.Agreed:
		return tombstones.Settled
	}
	if p.opts.Searches.Doubt != nil {
		p.opts.Searches.Doubt(typ)
	}
	return tombstones.Later
}

// again sends an object once more, in a state that a member's watch had lost. That member may have claimed that it
// has delivered the object, or may have delivered an older state since.
func (p *Publisher) again(o checkpoint.Tombstone, typ resource.Type, parts resource.Parts) {
	p.opts.Index.IfKnown(typ, parts.Namespace, parts.Name, func(digest uint64) bool {
		if digest == o.Digest {
			p.opts.Pipeline.Again(typ, resource.Record{Namespace: parts.Namespace, Name: parts.Name, ResourceVersion: o.Version, Digest: digest})
		}
		return true
	})
}

// movesFor is how long after a change of our claim a member may still tell a sum from before the change.
const movesFor = time.Minute

// MayHaveSpoken tells whether we may have made a claim about objects that others own, since another member's sum of
// a type last equalled ours. If not, a state of such an object that our watch has lost does no harm: its owner has
// seen it. It takes no lock.
func (p *Publisher) MayHaveSpoken(t resource.Type) bool {
	return p.opts.Ledger.AgreedAt(t.String()).Sub(time.Unix(p.moved.Load(), 0)) < movesFor
}

// noteMove records the time if our claim differs from that of our last checkpoint. The caller holds mu.
func (p *Publisher) noteMove(own checkpoint.Checkpoint) {
	same := p.last != nil && p.last.own.Incarnation == own.Incarnation && slices.Equal(p.last.own.View, own.View) &&
		slices.Equal(p.last.own.Takes, own.Takes) && slices.Equal(p.last.own.Yields, own.Yields)
	if !same {
		p.moved.Store(time.Now().Unix())
	}
}
